// Curves of the API as columns that can be drawn. Pure.
import type { Curve, GroupCurve } from "../api/wire";
import { smooth } from "../lib/smooth";

/** `metric`: the value of another metric. */
export type XAxis = "step" | "time" | "wall" | "metric";

export interface Line {
  id: string;
  label: string;
  color: string;
  /** For the tooltip's second column: "rank 3". */
  note?: string;
  xs: Float64Array;
  steps: Float64Array;
  ys: Float64Array;
  lows: Float64Array;
  highs: Float64Array;
  /** Points of the bucket that are NaN or infinite. */
  nonFinite: Float64Array;
  /** A bucket holds more than one point somewhere: there is a band to draw. */
  hasBand: boolean;
  /** What four fifths of the buckets stay below; one far above it holds a spike. */
  typicalHeight: number;
  smoothed: Float64Array | null;
  /** Points without a line. */
  dots?: boolean;
}

export function toLine(
  curve: Curve,
  axis: XAxis,
  style: { id: string; label: string; color: string; note?: string },
): Line {
  const { first_steps: steps, mins: lows, maxs: highs } = curve;
  let hasBand = false;
  for (let i = 0; i < lows.length && !hasBand; i++) hasBand = lows[i] !== highs[i];
  return {
    ...style,
    steps,
    xs: axis === "step" ? steps : curve.xs,
    ys: curve.means,
    lows,
    highs,
    nonFinite: curve.not_finite,
    hasBand,
    typicalHeight: hasBand ? usualGap(lows, highs) : 0,
    smoothed: null,
  };
}

/** Mean of a group's runs; its band is what any of them had, or with `std` one standard deviation to both sides. */
export function toGroupLine(
  curve: GroupCurve,
  band: "range" | "std",
  style: Pick<Line, "id" | "label" | "color" | "note">,
): Line {
  const ys = curve.means;
  const { stds, steps } = curve;
  const lows = band === "std" ? ys.map((y, i) => y - stds[i]!) : curve.mins;
  const highs = band === "std" ? ys.map((y, i) => y + stds[i]!) : curve.maxs;
  return {
    ...style,
    steps,
    xs: steps,
    ys,
    lows,
    highs,
    nonFinite: new Float64Array(ys.length),
    hasBand: true,
    typicalHeight: usualGap(lows, highs),
    smoothed: null,
  };
}

/** The same line, smoothed over its part of the whole x axis. */
export function smoothedLine(line: Line, amount: number, span: number): Line {
  return { ...line, smoothed: amount > 0 ? smooth(line.xs, line.ys, amount, span) : null };
}

function usualGap(lows: Float64Array, highs: Float64Array): number {
  const gaps = highs
    .map((high, i) => high - lows[i]!)
    .filter((gap) => Number.isFinite(gap))
    .sort();
  return gaps[Math.floor(gaps.length * 0.8)] ?? 0;
}
