// Which rows are chosen by ranges on axes; the ranges in the URL: `brush=config.lr:0.001:0.1`. Pure.
import type { Column } from "./columns";

/** By field; both ends belong to it. */
export type Brushes = ReadonlyMap<string, readonly [number, number]>;

/** Names of parameters may hold colons: the numbers are the last two parts. What is no range is left out. */
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
  return [...brushes].map(([field, [low, high]]) => `${field}:${short(low)}:${short(high)}`);
}

export function withBrush(brushes: Brushes, field: string, range: readonly [number, number] | null): Brushes {
  const next = new Map(brushes);
  if (range) next.set(field, range);
  else next.delete(field);
  return next;
}

/** 1 where a row is within all ranges. A missing value, or NaN, is in none. Ranges of other columns do not count. */
export function chosen(columns: readonly Column[], brushes: Brushes, rows: number): Uint8Array {
  const kept = new Uint8Array(rows).fill(1);
  for (const column of columns) {
    const range = brushes.get(column.field);
    if (!range) continue;
    for (let row = 0; row < rows; row++) {
      const value = column.values[row]!;
      if (!(value >= range[0] && value <= range[1])) kept[row] = 0;
    }
  }
  return kept;
}

function short(value: number): string {
  return String(Number(value.toPrecision(6)));
}
