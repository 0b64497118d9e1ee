// What the lines of a chart say where the pointer is: the nearest line marked, the others by value. Pure, but for uPlot's scales.
import type uPlot from "uplot";
import { nearest } from "../lib/range";
import type { Line } from "./lines";

export interface NearestPoint {
  line: Line;
  /** Of the line's columns. */
  index: number;
  value: number;
}

export interface NearestPoints {
  x: number;
  /** CSS pixels from the chart's left. */
  left: number;
  /** By value, the greatest first; never empty. */
  entries: NearestPoint[];
  nearest: NearestPoint | null;
}

/** Pixels at whose distance a point still belongs to the pointer, where points are nearer together than that. */
const REACH_PX = 24;

/** null where no line has a point near `x`. From uPlot's own figures: to ask the elements would make the browser lay out the page in mid-frame. */
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

/** At most `most` entries, around the nearest. */
export function entriesAround({ entries, nearest }: NearestPoints, most: number): NearestPoint[] {
  if (entries.length <= most) return entries;
  const middle = nearest ? entries.indexOf(nearest) : 0;
  const from = Math.min(Math.max(middle - most / 2, 0), entries.length - most);
  return entries.slice(from, from + most);
}
