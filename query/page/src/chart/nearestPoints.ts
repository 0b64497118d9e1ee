// The points of all lines that are nearest to the pointer. Pure, but for the scales of uPlot.
import type uPlot from "uplot";
import { nearest } from "../lib/range";
import type { Line } from "./lines";

export interface NearestPoint {
  line: Line;
  /** Index in the columns of the line. */
  index: number;
  value: number;
}

export interface NearestPoints {
  x: number;
  /** CSS pixels from the left of the chart. */
  left: number;
  /** Sorted by value, the greatest first; never empty. */
  entries: NearestPoint[];
  nearest: NearestPoint | null;
}

/** A point within so many pixels belongs to the pointer, even if points are nearer together. */
const REACH_PX = 24;

/**
 * Return null if no line has a point near `x`. It uses only numbers of uPlot: reading the elements would make the
 * browser compute the layout within a frame.
 */
export function nearestPointsAt(u: uPlot, lines: readonly Line[], x: number): NearestPoints | null {
  const top = u.cursor.top ?? 0;
  const reach = Math.abs(u.posToVal(REACH_PX, "x") - u.posToVal(0, "x"));
  const entries: NearestPoint[] = [];
  let nearestEntry: NearestPoint | null = null;
  let distance = Infinity;
  for (const line of lines) {
    const index = nearest(line.xs, x);
    if (index < 0 || Math.abs(line.xs[index]! - x) > Math.max(reach, gapAround(line, index))) continue;
    const entry = { line, index, value: (line.smoothed ?? line.ys)[index]! };
    entries.push(entry);
    const pixelsAway = Math.abs(u.valToPos(entry.value, "y") - top);
    if (pixelsAway < distance) [nearestEntry, distance] = [entry, pixelsAway];
  }
  if (!entries.length) return null;
  entries.sort((a, b) => b.value - a.value || (Number.isNaN(a.value) ? 1 : -1));
  return { x, left: u.bbox.left / devicePixelRatio + u.valToPos(x, "x"), entries, nearest: nearestEntry };
}

function gapAround(line: Line, index: number): number {
  return Math.max(
    (line.xs[index + 1] ?? line.xs[index]!) - line.xs[index]!,
    line.xs[index]! - (line.xs[index - 1] ?? line.xs[index]!),
  );
}

/** Return at most `most` entries around the nearest. */
export function entriesAround({ entries, nearest }: NearestPoints, most: number): NearestPoint[] {
  if (entries.length <= most) return entries;
  const middle = nearest ? entries.indexOf(nearest) : 0;
  const from = Math.min(Math.max(middle - most / 2, 0), entries.length - most);
  return entries.slice(from, from + most);
}
