// Plots of the results of a sweep: the best value over time, and the Pareto front of two objectives.
import { useMemo } from "preact/hooks";
import { call } from "../api/client";
import type { Objective, Sweep, Trial } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { shadesByRank } from "../explore/colorRamp";
import { paretoSteps } from "../explore/paretoLine";
import { type PlotRows, toPlotColumn } from "../explore/plotColumns";
import { ScatterPlot } from "../explore/ScatterPlot";
import { route, setQuery } from "../state/route";
import { Card } from "../ui/Card";
import { objectiveField, objectiveValue, optimizationHistory } from "./trials";

const LIVE_MS = 2500;
const IDLE_MS = 15_000;

export function OptimizationHistoryCard({
  trials,
  rows,
  objective,
  link,
}: {
  trials: readonly Trial[];
  rows: PlotRows;
  objective: Objective;
  link: (trial: Trial) => string;
}) {
  const logY = route.value.query.get("course") === "log";
  // biome-ignore lint/correctness/useExhaustiveDependencies: `rows` is new for other links
  const plot = useMemo(() => {
    const course = optimizationHistory(trials, objective.maximize);
    const own: PlotRows = {
      ids: course.trials.map((trial) => trial.number),
      names: course.trials.map((trial) => `trial ${trial.number}`),
      links: course.trials.map(link),
      columns: [],
    };
    const y = { ...toPlotColumn("y", objective.metric, [...course.values]), values: course.values };
    return {
      course,
      own,
      x: toPlotColumn(
        "x",
        "trials that ended",
        course.trials.map((_, index) => index + 1),
      ),
      y,
      shades: shadesByRank(y, !objective.maximize, course.trials.length),
      selected: new Uint8Array(course.trials.length).fill(1),
    };
  }, [trials, rows, objective.metric, objective.maximize]);
  const canLog =
    plot.course.values.some(Number.isFinite) &&
    plot.course.values.every((value) => !Number.isFinite(value) || value > 0);
  const tools = canLog && (
    <button class="toggle" aria-pressed={logY} onClick={() => setQuery({ course: logY ? null : "log" })}>
      Log
    </button>
  );
  return (
    <Card title={`Best ${objective.metric} so far`} tools={tools}>
      {plot.course.best.length ? (
        <ScatterPlot
          rows={plot.own}
          x={plot.x}
          y={plot.y}
          logX={false}
          logY={logY && canLog}
          shades={plot.shades}
          selected={plot.selected}
          line={plot.course.best}
          label="Best so far"
          height={260}
        />
      ) : (
        <p class="quiet">No trial has a value yet.</p>
      )}
    </Card>
  );
}

export function useFront(sweep: Sweep, busy: boolean): readonly Trial[] {
  const { data } = useQuery(
    sweep.objectives.length > 1 ? `front of ${sweep.id}` : null,
    (signal) => loadFront(sweep.id, signal),
    busy ? LIVE_MS : IDLE_MS,
    true,
  );
  return data ?? [];
}

/** Load all trials of the front: the server sends it in pages. */
async function loadFront(sweep: string, signal: AbortSignal): Promise<Trial[]> {
  const trials: Trial[] = [];
  let token = "";
  do {
    const page = await call("GetBestTrials", { sweep, page_token: token }, signal);
    trials.push(...page.trials);
    token = page.next_page_token;
  } while (token);
  return trials;
}

export function SweepParetoFront({
  sweep,
  rows,
  trials,
  busy,
}: {
  sweep: Sweep;
  rows: PlotRows;
  trials: readonly Trial[];
  busy: boolean;
}) {
  const front = useFront(sweep, busy);
  const [a, b] = sweep.objectives;
  const x = rows.columns.find((column) => column.field === objectiveField(0))!;
  const y = rows.columns.find((column) => column.field === objectiveField(1))!;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the column is new for other trials
  const shades = useMemo(() => shadesByRank(x, !a!.maximize, trials.length), [x]);
  const selected = useMemo(() => new Uint8Array(trials.length).fill(1), [trials.length]);
  const numbers = new Set(front.map((trial) => trial.number));
  // biome-ignore lint/correctness/useExhaustiveDependencies: the front stands for its numbers
  const ringed = useMemo(
    () => new Set(trials.flatMap((trial, index) => (numbers.has(trial.number) ? [index] : []))),
    [trials, front],
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: the front is new for other objectives
  const line = useMemo(
    () =>
      sweep.objectives.length === 2
        ? paretoSteps(
            front.map((trial) => [objectiveValue(trial, 0), objectiveValue(trial, 1)] as const),
            a!.maximize,
          )
        : [],
    [front],
  );
  return (
    <Card title={`${b!.metric} against ${a!.metric}`} wide>
      <ScatterPlot
        rows={rows}
        x={x}
        y={y}
        logX={false}
        logY={false}
        shades={shades}
        selected={selected}
        ringed={ringed}
        line={line}
        label="Pareto front"
      />
      <p class="quiet">Trials with a ring are on the Pareto front: no other trial is better in every metric.</p>
    </Card>
  );
}
