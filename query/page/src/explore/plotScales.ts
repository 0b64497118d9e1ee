// Positions of values on an axis, and its ticks (d3-scale). Pure.
import { scaleLinear, scaleLog, scaleTime } from "d3-scale";
import { formatTick } from "../lib/format";
import { extent, withMargin } from "../lib/range";
import type { PlotColumn } from "./plotColumns";

export interface Scale {
  /** Pixels; NaN for values without a position: NaN, infinity, and 0 on a logarithmic axis. */
  at: (value: number) => number;
  /** The value at a pixel. */
  invert: (pixel: number) => number;
  ticks: readonly { at: number; text: string }[];
}

/**
 * Create a scale from pixel `from` (the smallest value) to `to`. A label needs `space` pixels. `air` is the share of
 * the span that is added at both ends.
 */
export function scaleOf(column: PlotColumn, log: boolean, from: number, to: number, space: number, air = 0): Scale {
  if (column.kind === "category") return categories(column, from, to, space);
  const isLog = log && column.kind === "number";
  const found = extent([column.values], isLog) ?? (isLog ? [1, 10] : [0, 1]);
  const domain = withMargin(found, found[0] === found[1] ? 0.06 : air, isLog);
  const amount = Math.max(Math.floor(Math.abs(to - from) / space), 2);
  if (column.kind === "time") {
    const scale = scaleTime([new Date(domain[0] * 1000), new Date(domain[1] * 1000)], [from, to]);
    const format = scale.tickFormat(amount);
    const ticks = scale.ticks(amount).map((tick) => ({ at: scale(tick), text: format(tick) }));
    return {
      at: (value) => finite(scale(new Date(value * 1000))),
      invert: (pixel) => scale.invert(pixel).getTime() / 1000,
      ticks,
    };
  }
  const scale = isLog ? scaleLog(domain, [from, to]) : scaleLinear(domain, [from, to]);
  const fewTicks = fewValues(column, isLog);
  const chosen = fewTicks
    ? withRoom(fewTicks, scale, space)
    : isLog
      ? thinTicks(scale.ticks(amount), amount)
      : scale.ticks(amount);
  const ticks = chosen.map((tick) => ({ at: scale(tick), text: formatTick(tick) }));
  return {
    at: (value) => (isLog && value <= 0 ? NaN : finite(scale(value))),
    invert: (pixel) => scale.invert(pixel),
    ticks,
  };
}

function categories(column: PlotColumn, from: number, to: number, space: number): Scale {
  const amount = Math.max(column.categories.length, 1);
  const scale = scaleLinear([-0.5, amount - 0.5], [from, to]);
  const every = Math.max(Math.ceil((amount * space) / Math.abs(to - from)), 1);
  const ticks = column.categories.flatMap((text, place) => (place % every ? [] : [{ at: scale(place), text }]));
  return { at: (value) => finite(scale(value)), invert: (pixel) => scale.invert(pixel), ticks };
}

/**
 * Thin out logarithmic ticks. d3 gives all digits of a decade or none. Keep powers of ten if they are enough, and no
 * more ticks than there is room for.
 */
function thinTicks(ticks: readonly number[], amount: number): readonly number[] {
  if (ticks.length <= amount) return ticks;
  const powers = ticks.filter((tick) => Math.abs(Math.log10(tick) - Math.round(Math.log10(tick))) < 1e-9);
  const selected = powers.length >= 2 ? powers : ticks;
  const every = Math.ceil(selected.length / amount);
  return selected.filter((_, index) => index % every === 0);
}

const FEW = 12;

/** Return the values themselves as ticks if they are few, as with choices: 16, 32, 64, 128. */
function fewValues(column: PlotColumn, positive: boolean): number[] | null {
  const found = new Set<number>();
  for (const value of column.values) {
    if (!Number.isFinite(value) || (positive && value <= 0)) continue;
    if (column.values.length <= FEW || found.add(value).size > FEW) return null;
  }
  return found.size > 1 ? [...found].sort((a, b) => a - b) : null;
}

/** Return the ticks that have room for their label. The first one always has. */
function withRoom(values: readonly number[], scale: (value: number) => number, space: number): number[] {
  let last = NaN;
  return values.filter((value) => {
    if (Math.abs(scale(value) - last) < space * 0.55) return false;
    last = scale(value);
    return true;
  });
}

function finite(pixel: number): number {
  return Number.isFinite(pixel) ? pixel : NaN;
}
