// What the lines of a chart say where the pointer is: the nearest line marked, the others by value. Pure, but for uPlot's scales.
import type uPlot from "uplot";
import { nearest } from "../lib/range";
import type { Line } from "./lines";

export interface Entry {
  line: Line;
  /** Of the line's columns. */
  at: number;
  value: number;
}

export interface Pointed {
  x: number;
  /** CSS pixels from the chart's left. */
  left: number;
  /** By value, the greatest first; never empty. */
  entries: Entry[];
  nearest: Entry | null;
}

/** Pixels at whose distance a point still belongs to the pointer, where points are nearer together than that. */
const REACH_PX = 24;

/** null where no line has a point near `x`. From uPlot's own figures: to ask the elements would make the browser lay out the page in mid-frame. */
export function pointedAt(u: uPlot, lines: readonly Line[], x: number): Pointed | null {
  const top = u.cursor.top ?? 0;
  const reach = Math.abs(u.posToVal(REACH_PX, "x") - u.posToVal(0, "x"));
  const entries: Entry[] = [];
  let near: Entry | null = null;
  let distance = Infinity;
  for (const line of lines) {
    const at = nearest(line.xs, x);
    if (at < 0 || Math.abs(line.xs[at]! - x) > Math.max(reach, gap(line, at))) continue;
    const entry = { line, at, value: (line.smoothed ?? line.ys)[at]! };
    entries.push(entry);
    const off = Math.abs(u.valToPos(entry.value, "y") - top);
    if (off < distance) [near, distance] = [entry, off];
  }
  if (!entries.length) return null;
  entries.sort((a, b) => b.value - a.value || (Number.isNaN(a.value) ? 1 : -1));
  return { x, left: u.bbox.left / devicePixelRatio + u.valToPos(x, "x"), entries, nearest: near };
}

function gap(line: Line, at: number): number {
  return Math.max((line.xs[at + 1] ?? line.xs[at]!) - line.xs[at]!, line.xs[at]! - (line.xs[at - 1] ?? line.xs[at]!));
}

/** At most `most` entries, around the nearest. */
export function around({ entries, nearest }: Pointed, most: number): Entry[] {
  if (entries.length <= most) return entries;
  const middle = nearest ? entries.indexOf(nearest) : 0;
  const from = Math.min(Math.max(middle - most / 2, 0), entries.length - most);
  return entries.slice(from, from + most);
}
