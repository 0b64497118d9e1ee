// Nested config and summary as flat rows: `optimizer.lr`. Pure.
import type { Json, JsonValue } from "../api/contract";
import { compareNaturally } from "./panels";

const MAX_DEPTH = 12;

/** Return the leaves by dotted path, in natural order. Empty objects are leaves. */
export function flatten(values: Json | undefined): Map<string, JsonValue> {
  const found: [string, JsonValue][] = [];
  const walk = (prefix: string, value: JsonValue, depth: number) => {
    if (value && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length && depth < MAX_DEPTH) {
      for (const [key, item] of Object.entries(value)) walk(prefix ? `${prefix}.${key}` : key, item, depth + 1);
    } else found.push([prefix, value]);
  };
  for (const [key, value] of Object.entries(values ?? {})) walk(key, value, 1);
  return new Map(found.sort(([a], [b]) => compareNaturally(a, b)));
}

export interface ComparedRow {
  key: string;
  values: (JsonValue | undefined)[];
  differs: boolean;
}

/** Return a row for each key that at least one of the runs has. */
export function compareValues(columns: readonly ReadonlyMap<string, JsonValue>[]): ComparedRow[] {
  const keys = [...new Set(columns.flatMap((column) => [...column.keys()]))].sort(compareNaturally);
  return keys.map((key) => {
    const values = columns.map((column) => column.get(key));
    const first = JSON.stringify(values[0]);
    return { key, values, differs: values.some((value) => JSON.stringify(value) !== first) };
  });
}
