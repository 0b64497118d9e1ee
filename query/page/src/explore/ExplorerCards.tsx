// Cards with parallel coordinates and a scatter plot of the same rows. The URL keeps what their tools set.
import { useState } from "preact/hooks";
import { count } from "../lib/format";
import { setQuery } from "../state/route";
import { ColumnChooser } from "../table/ColumnChooser";
import { Card } from "../ui/Card";
import { Icon } from "../ui/Icon";
import type { ExploreViewState } from "./exploreView";
import { ParallelCoordinates } from "./ParallelCoordinates";
import { canBeLog, fieldTitle, type PlotColumn, type PlotRows } from "./plotColumns";
import { RangeDialog } from "./RangeDialog";
import { ScatterPlot } from "./ScatterPlot";

/** `fields`: all fields that can be an axis. `noun`: what a row is, for example "trial". */
export interface ExplorerProps {
  rows: PlotRows;
  view: ExploreViewState;
  fields: readonly { field: string; title: string }[];
  noun: string;
}

export function ParallelCard({ rows, view, fields, noun }: ExplorerProps) {
  const [choosing, setChoosing] = useState(false);
  const [ranging, setRanging] = useState(false);
  const tools = (
    <span class="tools">
      {view.brushes.size > 0 && (
        <button class="toggle on" onClick={() => setQuery({ brush: null })} title="Clear all ranges">
          {view.selectedCount.toLocaleString("en-US")} of {count(rows.ids.length, noun)} <Icon name="close" size={12} />
        </button>
      )}
      <FieldSelect
        label="Colour by"
        value={view.color?.field ?? ""}
        fields={fields}
        set={(field) => setQuery({ by: field })}
      />
      <button class="button plain" onClick={() => setRanging(true)}>
        Ranges
      </button>
      <button class="button plain" onClick={() => setChoosing(true)}>
        <Icon name="columns" size={14} /> Axes
      </button>
    </span>
  );
  return (
    <Card title="Parallel coordinates" wide tools={tools}>
      {view.axes.length < 2 ? (
        <p class="quiet">Choose two axes or more.</p>
      ) : (
        <ParallelCoordinates
          rows={rows}
          axes={view.axes}
          isLog={view.isLog}
          flipLog={view.flipLog}
          brushes={view.brushes}
          setBrushes={view.setBrushes}
          shades={view.shades}
          label="Lines over axes"
        />
      )}
      <p class="quiet">
        Drag along an axis to select a range. Click outside of the range to clear it. <i>Ranges</i> lets you type
        numbers.{view.color && ` Stronger colours are better values of ${view.color.title}.`}
      </p>
      {ranging && (
        <RangeDialog axes={view.axes} brushes={view.brushes} set={view.setBrushes} close={() => setRanging(false)} />
      )}
      {choosing && (
        <ColumnChooser
          fields={fields.map((item) => item.field)}
          chosen={view.axes.map((axis) => axis.field)}
          set={(next) => setQuery({ axis: next })}
          close={() => setChoosing(false)}
        />
      )}
    </Card>
  );
}

export function ScatterCard({ rows, view, fields, noun }: ExplorerProps) {
  const { x, y } = view;
  const tools = (
    <span class="tools">
      <FieldSelect
        label="Vertical axis"
        value={y?.field ?? ""}
        fields={fields}
        set={(field) => setQuery({ sy: field })}
      />
      {y && <LogToggle column={y} view={view} />}
      <span class="quiet">over</span>
      <FieldSelect
        label="Horizontal axis"
        value={x?.field ?? ""}
        fields={fields}
        set={(field) => setQuery({ sx: field })}
      />
      {x && <LogToggle column={x} view={view} />}
    </span>
  );
  return (
    <Card title="Scatter" tools={tools}>
      {x && y ? (
        <ScatterPlot
          rows={rows}
          x={x}
          y={y}
          logX={view.isLog(x)}
          logY={view.isLog(y)}
          shades={view.shades}
          selected={view.selected}
          label={`Every ${noun}`}
        />
      ) : (
        <p class="quiet">Choose two axes.</p>
      )}
    </Card>
  );
}

function LogToggle({ column, view }: { column: PlotColumn; view: ExploreViewState }) {
  if (!canBeLog(column)) return null;
  return (
    <button
      class="toggle"
      aria-pressed={view.isLog(column)}
      aria-label={`Log ${column.title}`}
      onClick={() => view.flipLog(column)}
    >
      Log
    </button>
  );
}

export function FieldSelect(props: {
  label: string;
  value: string;
  fields: readonly { field: string; title: string }[];
  set: (field: string) => void;
}) {
  const known = props.fields.some((item) => item.field === props.value);
  return (
    <select
      class="select field-select"
      aria-label={props.label}
      title={props.label}
      value={props.value}
      onChange={(event) => props.set(event.currentTarget.value)}
    >
      {!known && <option value={props.value}>{props.value ? fieldTitle(props.value) : "–"}</option>}
      {props.fields.map(({ field, title }) => (
        <option key={field} value={field}>
          {title}
        </option>
      ))}
    </select>
  );
}
