// Every trial: state, values, parameters, tries, how long, why it failed. Only what is seen is made.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Objective, Trial, TrialState } from "../api/contract";
import { type Column, type Rows, textOf } from "../explore/plotColumns";
import { count, formatDuration, formatNumber, number } from "../lib/format";
import { rowsOf } from "../lib/virtualList";
import { place, setQuery } from "../state/route";
import { Card } from "../ui/Card";
import { Icon } from "../ui/Icon";
import { TRIAL_STATES, TrialStateMark } from "./stateBadges";
import { ordered } from "./trials";

const ROW = 32;

interface TrialTableProps {
  trials: readonly Trial[];
  rows: Rows;
  objectives: readonly Objective[];
  /** 1 where a trial is within the ranges of the parallel coordinates. */
  kept: Uint8Array;
  more: boolean;
  all: number;
}

export function TrialTable(props: TrialTableProps) {
  const { trials, rows } = props;
  const { query } = place.value;
  const state = query.get("state") ?? "";
  const order = query.get("order") ?? "";
  const columns = useMemo(
    () => allColumns(trials, rows, props.objectives.length),
    [trials, rows, props.objectives.length],
  );
  const shown = useMemo(() => {
    const among = trials
      .map((_, at) => at)
      .filter((at) => props.kept[at] && (!state || TRIAL_STATES[trials[at]!.state][0] === state));
    const by = columns.find((column) => column.field === order.replace(/^-/, ""));
    return by ? ordered(by.values, order.startsWith("-"), among) : among.reverse();
  }, [trials, columns, props.kept, state, order]);
  const area = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  useEffect(() => {
    area.current?.scrollTo({ top: 0 });
  }, [state, order]);
  const part = rowsOf(shown.length, ROW, top, area.current?.clientHeight ?? 520);
  const states = [...new Set(trials.map((trial) => trial.state))];
  const tools = (
    <span class="tools">
      <span class="quiet numeric">
        {count(shown.length, "trial")}
        {shown.length < props.all && ` of ${props.all.toLocaleString("en-US")}`}
      </span>
      <select
        class="select"
        aria-label="Trials in this state"
        value={state}
        onChange={(event) => setQuery({ state: event.currentTarget.value })}
      >
        <option value="">All states</option>
        {(Object.keys(TRIAL_STATES) as TrialState[])
          .filter((one) => states.includes(one) || TRIAL_STATES[one][0] === state)
          .map((one) => (
            <option key={one}>{TRIAL_STATES[one][0]}</option>
          ))}
      </select>
    </span>
  );
  return (
    <Card title="Trials" wide tools={tools}>
      {props.more && (
        <p class="quiet">
          The first {trials.length.toLocaleString("en-US")} of {props.all.toLocaleString("en-US")}:{" "}
          <code>runstream.Sweep(id).top(k)</code> and SQL reach all.
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
              <Head column={columns[0]!} order={order} />
              <th scope="col">State</th>
              {columns.slice(1).map((column) => (
                <Head key={column.field} column={column} order={order} />
              ))}
              <th scope="col">What happened</th>
            </tr>
          </thead>
          <tbody>
            {part.before > 0 && (
              <tr aria-hidden="true">
                <td style={{ height: `${part.before}px` }} />
              </tr>
            )}
            {shown.slice(part.from, part.to).map((at) => (
              <Row key={trials[at]!.number} trial={trials[at]!} at={at} columns={columns} link={rows.links[at]!} />
            ))}
            {part.after > 0 && (
              <tr aria-hidden="true">
                <td style={{ height: `${part.after}px` }} />
              </tr>
            )}
          </tbody>
        </table>
      </div>
    </Card>
  );
}

function Row({ trial, at, columns, link }: { trial: Trial; at: number; columns: readonly Column[]; link: string }) {
  return (
    <tr>
      <th scope="row">{link ? <a href={link}>{trial.number}</a> : trial.number}</th>
      <td>
        <TrialStateMark state={trial.state} />
      </td>
      {columns.slice(1).map((column) => {
        const text =
          column.field === "duration"
            ? formatDuration(column.values[at]!)
            : column.field.startsWith("value.") && Number.isNaN(column.values[at]!)
              ? valueText(trial)
              : textOf(column, at, (value) => (Number.isNaN(value) ? "–" : formatNumber(value)));
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

function valueText(trial: Trial): string {
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

function Head({ column, order }: { column: Column; order: string }) {
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

/** Number, objectives, parameters, tries, duration. */
function allColumns(trials: readonly Trial[], rows: Rows, objectives: number): Column[] {
  const plain = (field: string, title: string, read: (trial: Trial) => number): Column => ({
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
    plain("attempt", "Tries", (trial) => trial.attempt),
    plain("duration", "Duration", (trial) => (trial.leased ? number(trial.duration_s) : NaN)),
  ];
}
