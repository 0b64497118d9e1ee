// The ranges and ticks of a chart's axes. Pure.
import { extent, lowerBound, type Range, robustExtent, withMargin } from "../lib/range";
import type { Line } from "./lines";

export function xRange(lines: readonly Line[], zoom: Range | null): Range {
  if (zoom) return zoom;
  const found = extent(lines.map((line) => line.xs));
  if (!found) return [0, 1];
  return found[0] === found[1] ? withMargin(found) : found;
}

/**
 * Return the y range of the visible part of the lines, or null if there is no finite value (no positive value with
 * `log`).
 */
export function yRange(lines: readonly Line[], x: Range, options: { log: boolean; robust: boolean }): Range | null {
  const columns: Float64Array[] = [];
  for (const line of lines) {
    const [from, to] = [lowerBound(line.xs, x[0]), lowerBound(line.xs, x[1], true)];
    const inside = (values: Float64Array) => values.subarray(from, to);
    if (options.robust) columns.push(inside(line.smoothed ?? line.ys));
    else columns.push(inside(line.lows), inside(line.highs));
  }
  const found = options.robust ? robustExtent(columns, 0.02, options.log) : extent(columns, options.log);
  return found && withMargin(found, options.robust ? 0.12 : 0.06, options.log);
}

/** Distances between ticks of whole numbers, such as steps. */
export const WHOLE_DISTANCES = [1, 2, 5]
  .flatMap((digit) => Array.from({ length: 16 }, (_, power) => digit * 10 ** power))
  .sort((a, b) => a - b);

/** Distances between ticks of durations, in seconds. */
export const DURATION_DISTANCES = [
  0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200,
  10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 1_209_600, 2_592_000,
];

/** Return the ticks of a logarithmic axis: powers of ten, and 2 and 5 between them if there are few. */
export function logTicks([low, high]: Range): number[] {
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  const span = last - first;
  const every = Math.max(1, Math.ceil(span / 6));
  const digits = span <= 2 ? [1, 2, 5] : [1];
  const ticks: number[] = [];
  for (let power = first; power <= last; power += every) {
    for (const digit of digits) {
      const tick = Number(`${digit}e${power}`);
      if (tick >= low && tick <= high) ticks.push(tick);
    }
  }
  return ticks;
}
