// A sweep's trials: kept up to date, as columns, in order, and how the best came to be. Pure.
import type { Json, Objective, Trial, TrialState } from "../api/contract";
import { canBeLog, type PlotColumn, type PlotRows, toPlotColumn } from "../explore/plotColumns";
import { flatten } from "../lib/flatten";
import { number } from "../lib/format";

/** Nothing of it will change: it has ended, and its value is known, or known to be missing. */
export function isSettled(trial: Trial): boolean {
  return (
    trial.state !== "TRIAL_STATE_QUEUED" &&
    trial.state !== "TRIAL_STATE_RUNNING" &&
    trial.value_state !== "VALUE_STATE_PENDING"
  );
}

/** By number, ascending; `fresh` replaces what was known. The same list where nothing is new. */
export function mergeTrials(known: readonly Trial[], fresh: readonly Trial[]): readonly Trial[] {
  if (!fresh.length) return known;
  const byNumber = new Map(known.map((trial) => [trial.number, trial]));
  let changed = false;
  for (const trial of fresh) {
    const before = byNumber.get(trial.number);
    if (before && JSON.stringify(before) === JSON.stringify(trial)) continue;
    byNumber.set(trial.number, trial);
    changed = true;
  }
  return changed ? [...byNumber.values()].sort((a, b) => Number(a.number) - Number(b.number)) : known;
}

export function parametersOf(trial: Trial): ReturnType<typeof flatten> {
  return flatten(JSON.parse(trial.parameters_json || "{}") as Json);
}

export function objectiveValue(trial: Trial, objective: number): number {
  return trial.value_state === "VALUE_STATE_KNOWN" ? number(trial.values[objective]) : NaN;
}

/** Which parameters are drawn by their logarithm, and which are not; those of which the definition says neither are
 * not in it. Dotted names, as `parametersOf` has them. */
export function logScaleParameters(definitionJson: string): ReadonlyMap<string, boolean> {
  const found = new Map<string, boolean>();
  const collect = (prefix: string, parameters: unknown) => {
    if (!parameters || typeof parameters !== "object") return;
    for (const [key, item] of Object.entries(parameters as Record<string, Record<string, unknown> | undefined>)) {
      const name = prefix ? `${prefix}.${key}` : key;
      if (item?.parameters) collect(name, item.parameters);
      else if (typeof item?.distribution === "string" && "min" in item) found.set(name, /log/.test(item.distribution));
      else if (item && "min" in item) found.set(name, false);
    }
  };
  collect("", (JSON.parse(definitionJson || "{}") as { parameters?: unknown }).parameters);
  return found;
}

/** Parameters in natural order, then the objectives. `link`: where a trial's run is; `logs`: see `logsOf`. */
export function toPlotRows(
  trials: readonly Trial[],
  objectives: readonly Objective[],
  link: (trial: Trial) => string,
  logs: ReadonlyMap<string, boolean> = new Map(),
): PlotRows {
  const parameters = trials.map(parametersOf);
  const names = [...new Set(parameters.flatMap((item) => [...item.keys()]))];
  const columns: PlotColumn[] = names.map((name) => {
    const column = toPlotColumn(
      `config.${name}`,
      name,
      parameters.map((item) => item.get(name)),
    );
    return { ...column, log: logs.has(name) ? logs.get(name)! && canBeLog(column) : column.log };
  });
  objectives.forEach((objective, index) => {
    const values = Float64Array.from(trials, (trial) => objectiveValue(trial, index));
    columns.push({ ...toPlotColumn("", objective.metric, [...values]), field: objectiveField(index), values });
  });
  return {
    ids: trials.map((trial) => trial.number),
    names: trials.map((trial) => `trial ${trial.number}`),
    links: trials.map(link),
    columns,
  };
}

export function objectiveField(objective: number): string {
  return `value.${objective}`;
}

const ENDED_STATES: readonly TrialState[] = [
  "TRIAL_STATE_FINISHED",
  "TRIAL_STATE_FAILED",
  "TRIAL_STATE_PRUNED",
  "TRIAL_STATE_CANCELLED",
  "TRIAL_STATE_ADDED",
];
const COUNTED_STATES: readonly TrialState[] = ["TRIAL_STATE_FINISHED", "TRIAL_STATE_PRUNED", "TRIAL_STATE_ADDED"];

export interface OptimizationHistory {
  /** In the order in which they ended. */
  trials: readonly Trial[];
  values: Float64Array;
  /** Stairs of the best so far, from its first value to the last trial. */
  best: readonly [number, number][];
}

/** What the first objective was in one trial after the other. Only finished, pruned and added ones count for the best;
 * NaN never does. */
export function optimizationHistory(trials: readonly Trial[], maximize: boolean): OptimizationHistory {
  const ended = trials.filter((trial) => ENDED_STATES.includes(trial.state));
  const time = (trial: Trial) => Date.parse(trial.ended ?? trial.created ?? "1970-01-01");
  ended.sort((a, b) => time(a) - time(b) || Number(a.number) - Number(b.number));
  const values = Float64Array.from(ended, (trial) => objectiveValue(trial, 0));
  const best: [number, number][] = [];
  let bestValue = NaN;
  values.forEach((value, index) => {
    if (Number.isNaN(value) || !COUNTED_STATES.includes(ended[index]!.state)) return;
    if (!Number.isNaN(bestValue) && !(maximize ? value > bestValue : value < bestValue)) return;
    if (best.length) best.push([index + 1, bestValue]);
    best.push([index + 1, value]);
    bestValue = value;
  });
  if (best.length) best.push([ended.length, bestValue]);
  return { trials: ended, values, best };
}

/** Places of rows by a column: NaN last in both directions, then by place. */
export function sortRows(values: ArrayLike<number>, descending: boolean, among: readonly number[]): number[] {
  return [...among].sort((a, b) => {
    const [x, y] = [values[a]!, values[b]!];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y)) || a - b;
    return (descending ? y - x : x - y) || a - b;
  });
}
