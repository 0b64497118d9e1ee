// The state of the explore view: read from the URL, or defaults.
import { useMemo } from "preact/hooks";
import { route, setQuery } from "../state/route";
import { type Brushes, readBrushes, selectedRows, writeBrushes } from "./brushes";
import { shadesByRank } from "./colorRamp";
import { canBeLog, type PlotColumn, type PlotRows } from "./plotColumns";

/** Fields that are shown unless the URL names others. */
export interface DefaultFields {
  axes: readonly string[];
  color: string;
  x: string;
  y: string;
}

/** Return the fields that the view needs. */
export function requestedFields(query: URLSearchParams, defaults: DefaultFields): DefaultFields {
  const axes = query.getAll("axis");
  return {
    axes: axes.length ? axes : defaults.axes,
    color: query.get("by") ?? defaults.color,
    x: query.get("sx") ?? defaults.x,
    y: query.get("sy") ?? defaults.y,
  };
}

export interface ExploreViewState {
  axes: readonly PlotColumn[];
  color: PlotColumn | undefined;
  x: PlotColumn | undefined;
  y: PlotColumn | undefined;
  brushes: Brushes;
  setBrushes: (brushes: Brushes) => void;
  isLog: (column: PlotColumn) => boolean;
  flipLog: (column: PlotColumn) => void;
  /** 1 for each row within the ranges on all visible axes. */
  selected: Uint8Array;
  selectedCount: number;
  shades: Uint8Array;
}

/** `minimize`: whether smaller values of a field are better. Better values have stronger colours. */
export function useExploreView(
  rows: PlotRows,
  defaults: DefaultFields,
  minimize: (field: string) => boolean,
): ExploreViewState {
  const { query } = route.value;
  const fields = requestedFields(query, defaults);
  const byField = useMemo(() => new Map(rows.columns.map((column) => [column.field, column])), [rows]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the rows and the names stand for the columns
  const axes = useMemo(
    () => fields.axes.map((field) => byField.get(field)).filter((column) => column !== undefined),
    [rows, fields.axes.join("\n")],
  );
  const color = byField.get(fields.color);
  const texts = query.getAll("brush");
  const flipped = query.getAll("flip");
  // biome-ignore lint/correctness/useExhaustiveDependencies: the text stands for the array
  const brushes = useMemo(() => readBrushes(texts), [texts.join("\n")]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the direction stands for the function
  const shades = useMemo(
    () => shadesByRank(color, color ? minimize(color.field) : true, rows.ids.length),
    [rows, color, color && minimize(color.field)],
  );
  const selected = useMemo(() => selectedRows(axes, brushes, rows.ids.length), [rows, axes, brushes]);
  const selectedCount = useMemo(() => selected.reduce((sum, item) => sum + item, 0), [selected]);
  return {
    axes,
    color,
    x: byField.get(fields.x),
    y: byField.get(fields.y),
    brushes,
    setBrushes: (next) => setQuery({ brush: writeBrushes(next) }),
    isLog: (column) => canBeLog(column) && flipped.includes(column.field) !== column.log,
    flipLog: (column) =>
      setQuery({
        flip: flipped.includes(column.field)
          ? flipped.filter((item) => item !== column.field)
          : [...flipped, column.field],
      }),
    selected,
    selectedCount,
    shades,
  };
}
