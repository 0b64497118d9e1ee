// Ranges on axes, and the rows that they select. The URL has them as `brush=config.lr:0.001:0.1`. Pure.
import { extent } from "../lib/range";
import type { PlotColumn } from "./plotColumns";

/** Ranges by field. Both ends belong to a range. */
export type Brushes = ReadonlyMap<string, readonly [number, number]>;

/**
 * Parse ranges. Names of parameters may contain colons: the numbers are the last two parts. Invalid texts are skipped.
 */
export function readBrushes(texts: readonly string[]): Brushes {
  const found = new Map<string, readonly [number, number]>();
  for (const text of texts) {
    const match = /^(.+):([^:]+):([^:]+)$/s.exec(text);
    const [low, high] = [Number(match?.[2]), Number(match?.[3])];
    if (match && Number.isFinite(low) && Number.isFinite(high) && low <= high) found.set(match[1]!, [low, high]);
  }
  return found;
}

export function writeBrushes(brushes: Brushes): string[] {
  return [...brushes].map(([field, [low, high]]) => `${field}:${shortNumber(low)}:${shortNumber(high)}`);
}

export function withBrush(brushes: Brushes, field: string, range: readonly [number, number] | null): Brushes {
  const next = new Map(brushes);
  if (range) next.set(field, range);
  else next.delete(field);
  return next;
}

/**
 * Return 1 for each row within all ranges. A missing value and NaN are in no range. Ranges of other columns do not
 * count.
 */
export function selectedRows(columns: readonly PlotColumn[], brushes: Brushes, rows: number): Uint8Array {
  const selected = new Uint8Array(rows).fill(1);
  for (const column of columns) {
    const range = brushes.get(column.field);
    if (!range) continue;
    for (let row = 0; row < rows; row++) {
      const value = column.values[row]!;
      if (!(value >= range[0] && value <= range[1])) selected[row] = 0;
    }
  }
  return selected;
}

/**
 * Both ends of a range as texts of input fields; "" means no limit. A category is given by its index, a time as local
 * time to the second.
 */
export type RangeTexts = readonly [string, string];

export function rangeToText(column: PlotColumn, range: readonly [number, number] | undefined): RangeTexts {
  if (!range) return ["", ""];
  if (column.kind === "time") return [localTime(range[0]), localTime(range[1])];
  if (column.kind === "number") return [shortNumber(range[0]), shortNumber(range[1])];
  const last = column.categories.length - 1;
  return [
    String(Math.min(Math.max(Math.ceil(range[0]), 0), last)),
    String(Math.min(Math.max(Math.floor(range[1]), 0), last)),
  ];
}

/**
 * Parse both ends. An empty end means the column's own limit; null means no limit at all. A range of categories
 * reaches half-way to its neighbours.
 */
export function textToRange(column: PlotColumn, [from, to]: RangeTexts): readonly [number, number] | "reversed" | null {
  if (!from && !to) return null;
  const all = extent([column.values]) ?? [0, 0];
  const value = (text: string) => (column.kind === "time" ? Date.parse(text) / 1000 : Number(text));
  const [low, high] = [
    from ? value(from) : Math.min(all[0], value(to)),
    to ? value(to) : Math.max(all[1], value(from)),
  ];
  if (!Number.isFinite(low) || !Number.isFinite(high)) return null; // an incomplete date
  if (low > high) return "reversed";
  return column.kind === "category" ? [low - 0.4, high + 0.4] : [low, high];
}

function localTime(seconds: number): string {
  const index = new Date(seconds * 1000);
  return new Date(index.getTime() - index.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

/** Round a number. Times are seconds since 1970 and need more digits than a parameter. */
function shortNumber(value: number): string {
  return String(Number(value.toPrecision(Math.abs(value) >= 1e6 ? 12 : 6)));
}
