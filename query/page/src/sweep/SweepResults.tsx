// The results of a sweep: best values, which parameters matter, and all trials.
import { useMemo } from "preact/hooks";
import { call } from "../api/client";
import type { Objective, RunObjective, Sweep, SweepSummary, Trial } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { ParallelCard, ScatterCard } from "../explore/ExplorerCards";
import { type DefaultFields, useExploreView } from "../explore/exploreView";
import { Importance } from "../explore/Importance";
import { countFinite, type PlotRows, varies } from "../explore/plotColumns";
import { path, setQuery } from "../state/route";
import { Card } from "../ui/Card";
import { Loading } from "../ui/feedback";
import { BestCard, TopCard } from "./BestTrials";
import { StartAgent } from "./GettingStarted";
import { OptimizationHistoryCard, SweepParetoFront, useFront } from "./ResultPlots";
import { totalCount } from "./stateBadges";
import { TrialTable } from "./TrialTable";
import { logScaleParameters, objectiveField, toPlotRows } from "./trials";
import { useTrials } from "./useTrials";

const IDLE_MS = 15_000;
const MAX_AXES = 10;

export function SweepResults({
  sweep,
  summary,
  busy,
  k,
}: {
  sweep: Sweep;
  summary: SweepSummary;
  busy: boolean;
  k: number;
}) {
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
  const view = useExploreView(rows, defaults, minimize);
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
function runObjective(objective: Objective): RunObjective {
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
