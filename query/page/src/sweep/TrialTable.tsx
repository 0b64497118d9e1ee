// The table of trials: state, values, parameters, attempts, duration, and why a trial failed. Only visible rows are
// rendered.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Objective, Trial, TrialState } from "../api/contract";
import { cellText, type PlotColumn, type PlotRows } from "../explore/plotColumns";
import { count, formatDuration, formatNumber, toNumber } from "../lib/format";
import { visibleRows } from "../lib/virtualList";
import { route, setQuery } from "../state/route";
import { Card } from "../ui/Card";
import { Icon } from "../ui/Icon";
import { TRIAL_STATES, TrialStateBadge } from "./stateBadges";
import { sortRows } from "./trials";

const ROW_HEIGHT = 32;

interface TrialTableProps {
  trials: readonly Trial[];
  rows: PlotRows;
  objectives: readonly Objective[];
  /** 1 for each trial within the ranges of the parallel coordinates. */
  selected: Uint8Array;
  hasMore: boolean;
  total: number;
}

export function TrialTable(props: TrialTableProps) {
  const { trials, rows } = props;
  const { query } = route.value;
  const state = query.get("state") ?? "";
  const order = query.get("order") ?? "";
  const columns = useMemo(
    () => allColumns(trials, rows, props.objectives.length),
    [trials, rows, props.objectives.length],
  );
  const shown = useMemo(() => {
    const candidates = trials
      .map((_, index) => index)
      .filter((index) => props.selected[index] && (!state || TRIAL_STATES[trials[index]!.state][0] === state));
    const sortColumn = columns.find((column) => column.field === order.replace(/^-/, ""));
    return sortColumn ? sortRows(sortColumn.values, order.startsWith("-"), candidates) : candidates.reverse();
  }, [trials, columns, props.selected, state, order]);
  const area = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  useEffect(() => {
    area.current?.scrollTo({ top: 0 });
  }, [state, order]);
  const visible = visibleRows(shown.length, ROW_HEIGHT, top, area.current?.clientHeight ?? 520);
  const states = [...new Set(trials.map((trial) => trial.state))];
  const tools = (
    <span class="tools">
      <span class="quiet numeric">
        {count(shown.length, "trial")}
        {shown.length < props.total && ` of ${props.total.toLocaleString("en-US")}`}
      </span>
      <select
        class="select"
        aria-label="Trials in this state"
        value={state}
        onChange={(event) => setQuery({ state: event.currentTarget.value })}
      >
        <option value="">All states</option>
        {(Object.keys(TRIAL_STATES) as TrialState[])
          .filter((item) => states.includes(item) || TRIAL_STATES[item][0] === state)
          .map((item) => (
            <option key={item}>{TRIAL_STATES[item][0]}</option>
          ))}
      </select>
    </span>
  );
  return (
    <Card title="Trials" wide tools={tools}>
      {props.hasMore && (
        <p class="quiet">
          The table shows the first {trials.length.toLocaleString("en-US")} of {props.total.toLocaleString("en-US")}{" "}
          trials. <code>runstream.Sweep(id).top(k)</code> and SQL reach all of them.
        </p>
      )}
      <div
        class="trial-area"
        ref={area}
        tabIndex={0}
        role="region"
        aria-label="Table of trials"
        onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      >
        <table class="runs-table trial-table" aria-rowcount={shown.length + 1}>
          <thead>
            <tr>
              <HeaderCell column={columns[0]!} order={order} />
              <th scope="col">State</th>
              {columns.slice(1).map((column) => (
                <HeaderCell key={column.field} column={column} order={order} />
              ))}
              <th scope="col">Message</th>
            </tr>
          </thead>
          <tbody>
            {visible.before > 0 && (
              <tr aria-hidden="true">
                <td style={{ height: `${visible.before}px` }} />
              </tr>
            )}
            {shown.slice(visible.from, visible.to).map((index) => (
              <TrialRow
                key={trials[index]!.number}
                trial={trials[index]!}
                at={index}
                columns={columns}
                link={rows.links[index]!}
              />
            ))}
            {visible.after > 0 && (
              <tr aria-hidden="true">
                <td style={{ height: `${visible.after}px` }} />
              </tr>
            )}
          </tbody>
        </table>
      </div>
    </Card>
  );
}

function TrialRow({
  trial,
  at: index,
  columns,
  link,
}: {
  trial: Trial;
  at: number;
  columns: readonly PlotColumn[];
  link: string;
}) {
  return (
    <tr>
      <th scope="row">{link ? <a href={link}>{trial.number}</a> : trial.number}</th>
      <td>
        <TrialStateBadge state={trial.state} />
      </td>
      {columns.slice(1).map((column) => {
        const text =
          column.field === "duration"
            ? formatDuration(column.values[index]!)
            : column.field.startsWith("value.") && Number.isNaN(column.values[index]!)
              ? missingValueText(trial)
              : cellText(column, index, (value) => (Number.isNaN(value) ? "–" : formatNumber(value)));
        return (
          <td key={column.field} class="right numeric clip" title={text.length > 10 ? text : undefined}>
            {text}
          </td>
        );
      })}
      <td class="clip reason" title={reasonOf(trial)}>
        {reasonOf(trial)}
      </td>
    </tr>
  );
}

function missingValueText(trial: Trial): string {
  if (trial.value_state === "VALUE_STATE_KNOWN") return "NaN";
  return trial.value_state === "VALUE_STATE_PENDING" ? "…" : "–";
}

function reasonOf(trial: Trial): string {
  const exit =
    trial.state === "TRIAL_STATE_FAILED" && trial.exit_code
      ? trial.exit_code < 0
        ? `ended by signal ${-trial.exit_code}`
        : `exit status ${trial.exit_code}`
      : "";
  return [exit, trial.message].filter(Boolean).join(": ");
}

function HeaderCell({ column, order }: { column: PlotColumn; order: string }) {
  const { field } = column;
  const direction = order === `-${field}` ? "descending" : order === field ? "ascending" : undefined;
  const next = direction === "ascending" ? `-${field}` : direction === "descending" ? null : field;
  return (
    <th scope="col" class="right" aria-sort={direction}>
      <button class="sort clip" title={`Sort by ${column.title}`} onClick={() => setQuery({ order: next })}>
        <span class="clip">{column.title}</span>
        {direction && <Icon name={direction === "descending" ? "down" : "up"} size={12} />}
      </button>
    </th>
  );
}

/** Return the columns: number, objectives, parameters, attempts, duration. */
function allColumns(trials: readonly Trial[], rows: PlotRows, objectives: number): PlotColumn[] {
  const plain = (field: string, title: string, read: (trial: Trial) => number): PlotColumn => ({
    field,
    title,
    kind: "number",
    categories: [],
    values: Float64Array.from(trials, read),
    log: false,
  });
  const parameters = rows.columns.slice(0, rows.columns.length - objectives);
  return [
    plain("number", "Trial", (trial) => Number(trial.number)),
    ...rows.columns.slice(rows.columns.length - objectives),
    ...parameters,
    plain("attempt", "Attempts", (trial) => trial.attempt),
    plain("duration", "Duration", (trial) => (trial.leased ? toNumber(trial.duration_s) : NaN)),
  ];
}
