// Curves of the API as lines that can be drawn. Pure.
import type { Curve, GroupCurve } from "../api/wire";
import { smooth } from "../lib/smooth";

/** `metric`: the value of another metric. */
export type XAxisMode = "step" | "time" | "wall" | "metric";

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
  /** Whether a bucket has more than one point, so that there is a band to draw. */
  hasBand: boolean;
  /** The height below which four fifths of the bands are. A much higher band has a spike. */
  typicalHeight: number;
  smoothed: Float64Array | null;
  /** Draws points without a line. */
  dots?: boolean;
}

export function toLine(
  curve: Curve,
  axis: XAxisMode,
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

/**
 * Return the mean of a group's runs. Its band is the range of all runs, or with `std` one standard deviation on both
 * sides.
 */
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

/** Return the line, smoothed over its part of the whole x axis. */
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
