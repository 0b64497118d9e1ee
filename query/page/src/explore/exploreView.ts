// What is shown of many runs or trials: read from the URL, with what holds before anybody chose.
import { useMemo } from "preact/hooks";
import { place, setQuery } from "../state/route";
import { type Brushes, chosen, readBrushes, writeBrushes } from "./brushes";
import { shadesOf } from "./colorRamp";
import { type Column, canBeLog, type Rows } from "./plotColumns";

/** Fields, before anybody chose. */
export interface First {
  axes: readonly string[];
  color: string;
  x: string;
  y: string;
}

/** Fields that the view needs, as the URL has them. */
export function fieldsOf(query: URLSearchParams, first: First): First {
  const axes = query.getAll("axis");
  return {
    axes: axes.length ? axes : first.axes,
    color: query.get("by") ?? first.color,
    x: query.get("sx") ?? first.x,
    y: query.get("sy") ?? first.y,
  };
}

export interface View {
  axes: readonly Column[];
  color: Column | undefined;
  x: Column | undefined;
  y: Column | undefined;
  brushes: Brushes;
  setBrushes: (brushes: Brushes) => void;
  isLog: (column: Column) => boolean;
  flipLog: (column: Column) => void;
  /** 1 where a row is within the ranges on all axes that are shown. */
  kept: Uint8Array;
  keptCount: number;
  shades: Uint8Array;
}

/** `minimize`: of these fields smaller is better; of others larger is the stronger colour. */
export function useView(rows: Rows, first: First, minimize: (field: string) => boolean): View {
  const { query } = place.value;
  const fields = fieldsOf(query, first);
  const byField = useMemo(() => new Map(rows.columns.map((column) => [column.field, column])), [rows]);
  const axes = useMemo(
    () => fields.axes.map((field) => byField.get(field)).filter((column) => column !== undefined),
    [rows, fields.axes.join("\n")],
  );
  const color = byField.get(fields.color);
  const texts = query.getAll("brush");
  const flipped = query.getAll("flip");
  const brushes = useMemo(() => readBrushes(texts), [texts.join("\n")]);
  const shades = useMemo(
    () => shadesOf(color, color ? minimize(color.field) : true, rows.ids.length),
    [rows, color, color && minimize(color.field)],
  );
  const kept = useMemo(() => chosen(axes, brushes, rows.ids.length), [rows, axes, brushes]);
  const keptCount = useMemo(() => kept.reduce((sum, one) => sum + one, 0), [kept]);
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
          ? flipped.filter((one) => one !== column.field)
          : [...flipped, column.field],
      }),
    kept,
    keptCount,
    shades,
  };
}
