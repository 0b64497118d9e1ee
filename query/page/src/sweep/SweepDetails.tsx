// One sweep: its progress, its best trials, which parameters matter, and all trials. It is loaded again and again while
// trials run.
import { useEffect, useMemo } from "preact/hooks";
import { call } from "../api/client";
import type { Objective, RunObjective, Sweep, SweepSummary, Trial } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { shadesByRank } from "../explore/colorRamp";
import { ParallelCard, ScatterCard } from "../explore/ExplorerCards";
import { type DefaultFields, useView } from "../explore/exploreView";
import { Importance } from "../explore/Importance";
import { paretoSteps } from "../explore/paretoLine";
import { countFinite, type PlotRows, toPlotColumn, varies } from "../explore/plotColumns";
import { ScatterPlot } from "../explore/ScatterPlot";
import { readNumber } from "../lib/urlQuery";
import { path, route, setQuery } from "../state/route";
import { Card } from "../ui/Card";
import { CopyButton } from "../ui/CopyButton";
import { EmptyState, ErrorMessage, Loading } from "../ui/feedback";
import { BestCard, TopCard } from "./BestTrials";
import { fullName, StartAgent } from "./GettingStarted";
import { SweepControls } from "./SweepControls";
import { SweepHistory } from "./SweepHistory";
import { SweepProgress } from "./SweepProgress";
import { SweepStateBadge, totalCount } from "./stateBadges";
import { TrialTable } from "./TrialTable";
import { logScaleParameters, objectiveField, objectiveValue, optimizationHistory, toPlotRows } from "./trials";
import { useTrials } from "./useTrials";

const LIVE_MS = 2500;
const IDLE_MS = 15_000;
const MAX_AXES = 10;

export function SweepDetails({ team, project, id }: { team: string; project: string; id: string }) {
  const k = readNumber(route.value.query.get("k"), 10, 1, 100);
  const sweep = useQuery(`sweep ${id}`, (signal) => call("GetSweep", { sweep: id }, signal), IDLE_MS, false);
  const busy = isBusy(sweep.data);
  const summary = useQuery(
    `sweep summary ${id} ${k}`,
    (signal) => call("GetSweepSummary", { sweep: id, top: k }, signal),
    busy ? LIVE_MS : IDLE_MS,
    true,
  );
  const currentSweep = useMemo(
    () =>
      sweep.data && {
        ...sweep.data,
        ...(summary.data?.sweep?.id === id
          ? { ...summary.data.sweep, definition_json: sweep.data.definition_json }
          : {}),
      },
    [sweep.data, summary.data, id],
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: the title and the refresh depend on nothing else
  useEffect(() => {
    document.title = `${currentSweep?.name || id} · ${project} · runstream`;
    if (currentSweep && sweep.data && currentSweep.state !== sweep.data.state) sweep.refresh();
  }, [currentSweep?.name, currentSweep?.state, id]);
  const refresh = () => {
    sweep.refresh();
    summary.refresh();
  };
  const error = sweep.error ?? summary.error;
  if (
    error?.code === "NOT_FOUND" ||
    (currentSweep && (currentSweep.team !== team || currentSweep.project !== project))
  ) {
    return (
      <EmptyState title="Sweep not found">
        <p>
          There is no sweep <code>{id}</code> in {team}/{project}. It may have been deleted.
        </p>
        <p class="row">
          <a class="button" href={path(team, project, "sweeps")}>
            Go to the project's sweeps
          </a>
        </p>
      </EmptyState>
    );
  }
  if (error && (!currentSweep || !summary.data)) return <ErrorMessage error={error} retry={refresh} />;
  if (!currentSweep || summary.data?.sweep?.id !== id) return <Loading />;
  return (
    <div class="sweep">
      <header class="run-head">
        <h2 class="clip" title={currentSweep.name || currentSweep.id}>
          {currentSweep.name || `Sweep ${currentSweep.id}`}
        </h2>
        <SweepStateBadge state={currentSweep.state} idle={summary.data.agents === "0"} />
        <span class="quiet wide-only">
          {currentSweep.method}, by {currentSweep.created_by}
        </span>
        <CopyButton text={fullName(currentSweep)} label="Copy the sweep's path" />
        <span class="grow" />
        <SweepControls sweep={currentSweep} refresh={refresh} />
      </header>
      {currentSweep.description && <p class="sweep-description prose">{currentSweep.description}</p>}
      <div class="overview">
        <SweepProgress sweep={currentSweep} summary={summary.data} />
        {totalCount(currentSweep.counts) === 0 ? (
          <Card title="Start an agent" wide>
            <StartAgent sweep={currentSweep} />
          </Card>
        ) : (
          <Results sweep={currentSweep} summary={summary.data} busy={busy} k={k} />
        )}
        <SweepHistory sweep={currentSweep} />
      </div>
    </div>
  );
}

function isBusy(sweep: Sweep | undefined): boolean {
  return sweep?.state === "SWEEP_STATE_RUNNING" || Number(sweep?.counts?.running ?? 0) > 0;
}

function Results({ sweep, summary, busy, k }: { sweep: Sweep; summary: SweepSummary; busy: boolean; k: number }) {
  const trialCount = totalCount(sweep.counts);
  const { trials, hasMore, waiting, error } = useTrials(
    sweep.id,
    busy || Number(summary.values_pending) > 0,
    trialCount,
  );
  const hasRuns = useHasRuns(sweep, busy);
  const link = (trial: Trial) => (hasRuns && trial.run ? path(sweep.team, sweep.project, "runs", trial.run) : "");
  const objectives = sweep.objectives;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the text stands for the objectives, `hasRuns` for the links
  const rows = useMemo(
    () => toPlotRows(trials, objectives, link, logScaleParameters(sweep.definition_json)),
    [trials, JSON.stringify(objectives), hasRuns, sweep.definition_json],
  );
  const defaults = useMemo(() => defaultFields(rows, objectives.length), [rows, objectives.length]);
  const minimize = (field: string) => !objectives.find((_, index) => objectiveField(index) === field)?.maximize;
  const view = useView(rows, defaults, minimize);
  const fields = rows.columns.map(({ field, title }) => ({ field, title }));
  const pick = (key: string) => setQuery({ sx: `config.${key}`, sy: objectiveField(0) });
  if (waiting) return error ? <p class="form-error">{error.message}</p> : <Loading small />;
  const objective = objectives[0];
  const shared = { rows, view, fields, noun: "trial" };
  return (
    <>
      {error && <p class="form-error">{error.message}: the page shows the last answer.</p>}
      {summary.agents === "0" && sweep.state === "SWEEP_STATE_RUNNING" && (
        <Card title="No agent is active" wide>
          <StartAgent sweep={sweep} />
        </Card>
      )}
      {objective && (
        <div class="pair">
          <OptimizationHistoryCard trials={trials} rows={rows} objective={objective} link={link} />
          <BestCard sweep={sweep} trials={summary.best} link={link} />
        </div>
      )}
      {objectives.length > 1 && <SweepParetoFront sweep={sweep} rows={rows} trials={trials} busy={busy} />}
      <ParallelCard {...shared} />
      <div class="pair">
        <ScatterCard {...shared} />
        {objective && (
          <Card title={`What matters for ${objective.metric}`}>
            {hasRuns ? (
              <Importance
                team={sweep.team}
                project={sweep.project}
                sweep={sweep.id}
                objective={runObjective(objective)}
                live={busy}
                finiteRuns={countFinite(rows, objectiveField(0))}
                onSelect={pick}
              />
            ) : (
              <p class="quiet">The trials logged no runs, and importance is computed from runs.</p>
            )}
          </Card>
        )}
      </div>
      {objective && <TopTrials sweep={sweep} summary={summary} k={k} link={link} busy={busy} rows={rows} />}
      <TrialTable
        trials={trials}
        rows={rows}
        objectives={objectives}
        selected={view.selected}
        hasMore={hasMore}
        total={trialCount}
      />
    </>
  );
}

/**
 * Return the fields shown by default: parameters that vary, then the objectives. The scatter plot has the first
 * varying parameter against the first objective.
 */
function defaultFields(rows: PlotRows, objectives: number): DefaultFields {
  const parameters = rows.columns.slice(0, rows.columns.length - objectives);
  const varying = parameters.filter(varies);
  const values = rows.columns.slice(parameters.length).map((column) => column.field);
  const shown = (varying.length ? varying : parameters).map((column) => column.field);
  return {
    axes: [...shown.slice(0, MAX_AXES - values.length), ...values],
    color: values[0] ?? "",
    x: shown[0] ?? "",
    y: values[0] ?? shown[1] ?? "",
  };
}

/** Return whether the sweep has runs: programs that drive trials themselves may log none. */
function useHasRuns(sweep: Sweep, busy: boolean): boolean {
  const { data } = useQuery(
    `runs of ${sweep.id}`,
    (signal) =>
      call(
        "ListRuns",
        {
          team: sweep.team,
          project: sweep.project,
          filter: JSON.stringify({ sweep: sweep.id }),
          page_size: 1,
          fields: ["none"],
        },
        signal,
      ),
    busy ? IDLE_MS / 3 : 0,
    true,
  );
  return Number(data?.total ?? 0) > 0;
}

/** Return the objective of runs that is nearest to the sweep's objective: see "Results" in docs/sweeps.md. */
export function runObjective(objective: Objective): RunObjective {
  const suffix = objective.summary ? null : /^(.+)\.(last|min|max|mean|best)$/.exec(objective.metric);
  const kind = objective.summary || (suffix?.[2] ?? "last");
  const best = objective.maximize ? "max" : "min";
  const aggregates = { min: "AGGREGATE_MIN", max: "AGGREGATE_MAX", mean: "AGGREGATE_MEAN" } as const;
  const aggregate = aggregates[(kind === "best" ? best : kind) as keyof typeof aggregates] ?? "AGGREGATE_LAST";
  return {
    metric: suffix?.[1] ?? objective.metric,
    aggregate,
    goal: objective.maximize ? "GOAL_MAXIMIZE" : "GOAL_MINIMIZE",
    at: "",
    at_goal: "GOAL_UNSPECIFIED",
  };
}

function OptimizationHistoryCard({
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

function useFront(sweep: Sweep, busy: boolean): readonly Trial[] {
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

function SweepParetoFront({
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

function TopTrials({
  sweep,
  summary,
  k,
  link,
  busy,
  rows,
}: {
  sweep: Sweep;
  summary: SweepSummary;
  k: number;
  link: (trial: Trial) => string;
  busy: boolean;
  rows: PlotRows;
}) {
  const names = rows.columns
    .filter((column) => column.field.startsWith("config.") && varies(column))
    .map((column) => column.title);
  const front = new Set(useFront(sweep, busy).map((trial) => trial.number));
  return <TopCard sweep={sweep} trials={summary.best} link={link} k={k} front={front} names={names} />;
}
