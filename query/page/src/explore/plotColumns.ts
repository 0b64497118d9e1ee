// Parameters and metrics of many runs or trials, as columns of numbers. Pure.
import type { Axis, JsonValue } from "../api/contract";
import { toNumber } from "../lib/format";
import { compareNaturally } from "../lib/panels";

export interface PlotColumn {
  /** A unique name: config.lr, summary.loss, value.0. */
  field: string;
  title: string;
  kind: "number" | "category" | "time";
  /** Categories, in their order on the axis. */
  categories: readonly string[];
  /**
   * A value for each row. A category is its index in `categories`, a time is in seconds since 1970. NaN means missing,
   * or NaN.
   */
  values: Float64Array;
  /** The numbers are above 0 and span two decades or more: the axis is logarithmic unless the user changes it. */
  log: boolean;
}

export interface PlotRows {
  ids: readonly string[];
  names: readonly string[];
  /** The URL of a row's run, or "" if it has none. */
  links: readonly string[];
  columns: readonly PlotColumn[];
}

/** Convert a column of the API's answer. Its title is without `config.` or `summary.`. */
export function axisToPlotColumn(axis: Axis): PlotColumn {
  const kind = axis.kind === "AXIS_KIND_CATEGORY" ? "category" : axis.kind === "AXIS_KIND_TIME" ? "time" : "number";
  return {
    field: axis.field,
    title: fieldTitle(axis.field),
    kind,
    categories: axis.categories,
    values: Float64Array.from(axis.values, toNumber),
    log: axis.kind === "AXIS_KIND_LOG",
  };
}

export function fieldTitle(field: string): string {
  return field.replace(/^(config|summary)\./, "");
}

/** Create a column of numbers if all present values are numbers ("NaN" is not), else of categories in natural order. */
export function toPlotColumn(field: string, title: string, given: readonly (JsonValue | undefined)[]): PlotColumn {
  const present = given.filter((value) => value !== undefined && value !== null);
  if (present.every((value) => typeof value === "number")) {
    const values = Float64Array.from(given, (value) => (typeof value === "number" ? value : NaN));
    return { field, title, kind: "number", categories: [], values, log: spansDecades(values) };
  }
  const text = (value: JsonValue) => (typeof value === "string" ? value : JSON.stringify(value));
  const categories = [...new Set(present.map((value) => text(value!)))].sort(compareNaturally);
  const places = new Map(categories.map((name, index) => [name, index]));
  const values = Float64Array.from(given, (value) =>
    value === undefined || value === null ? NaN : places.get(text(value))!,
  );
  return { field, title, kind: "category", categories, values, log: false };
}

function spansDecades(values: Float64Array): boolean {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low > 0 && high / low >= 100;
}

/** Return whether a logarithmic axis makes sense: all finite values are above 0. */
export function canBeLog(column: PlotColumn): boolean {
  return (
    column.kind === "number" &&
    column.values.some(Number.isFinite) &&
    column.values.every((value) => !Number.isFinite(value) || value > 0)
  );
}

/** Return how many rows have a finite value. */
export function countFinite(rows: PlotRows, field: string): number {
  const column = rows.columns.find((item) => item.field === field);
  return column ? column.values.reduce((sum, value) => sum + Number(Number.isFinite(value)), 0) : 0;
}

export function varies(column: PlotColumn): boolean {
  let first = NaN;
  let some = false;
  for (const value of column.values) {
    if (Number.isNaN(value)) continue;
    if (some && value !== first) return true;
    first = value;
    some = true;
  }
  return false;
}

/** Return the text of a value for a tooltip or a cell. */
export function cellText(column: PlotColumn, row: number, format: (value: number) => string): string {
  const value = column.values[row]!;
  if (column.kind === "category") return Number.isNaN(value) ? "–" : column.categories[value]!;
  if (column.kind === "time") return Number.isNaN(value) ? "–" : new Date(value * 1000).toLocaleString();
  return format(value);
}
