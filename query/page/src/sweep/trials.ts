// The trials of a sweep: merging, sorting, columns for plots, and the best value over time. Pure.
import type { Json, Objective, Trial, TrialState } from "../api/contract";
import { canBeLog, type PlotColumn, type PlotRows, toPlotColumn } from "../explore/plotColumns";
import { flatten } from "../lib/flatten";
import { toNumber } from "../lib/format";

/** Return whether a trial can no longer change: it has ended, and its value is known, or known to be missing. */
export function isSettled(trial: Trial): boolean {
  return (
    trial.state !== "TRIAL_STATE_QUEUED" &&
    trial.state !== "TRIAL_STATE_RUNNING" &&
    trial.value_state !== "VALUE_STATE_PENDING"
  );
}

/** Merge trials by number, ascending. `fresh` replaces known trials. Return the same list if nothing is new. */
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
  return trial.value_state === "VALUE_STATE_KNOWN" ? toNumber(trial.values[objective]) : NaN;
}

/**
 * Return whether each parameter has a logarithmic scale. Parameters about which the definition says nothing are left
 * out. Names are dotted, as in `parametersOf`.
 */
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

/**
 * Return a column for each parameter, in natural order, then one for each objective. `link`: the URL of a trial's run.
 * `logs`: see `logScaleParameters`.
 */
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
  /** In the order in which the trials ended. */
  trials: readonly Trial[];
  values: Float64Array;
  /** Steps of the best value so far, from its first value to the last trial. */
  best: readonly [number, number][];
}

/**
 * Return the first objective's value in each ended trial, and the best value so far. Only finished, pruned and added
 * trials count for the best. NaN never does.
 */
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

/** Sort rows by a column. NaN comes last in both directions. Equal values keep their order. */
export function sortRows(values: ArrayLike<number>, descending: boolean, among: readonly number[]): number[] {
  return [...among].sort((a, b) => {
    const [x, y] = [values[a]!, values[b]!];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y)) || a - b;
    return (descending ? y - x : x - y) || a - b;
  });
}
