// Exploring the runs of a project: parallel coordinates, a scatter plot, importance of parameters, and a Pareto front.
import { useMemo } from "preact/hooks";
import { call } from "../api/client";
import type { FieldInfo, RunObjective } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { FieldSelect, ParallelCard, ScatterCard } from "../explore/ExplorerCards";
import { type DefaultFields, requestedFields, useExploreView } from "../explore/exploreView";
import { Importance } from "../explore/Importance";
import { ParetoFront } from "../explore/ParetoFront";
import { axisToPlotColumn, countFinite, fieldTitle, type PlotRows } from "../explore/plotColumns";
import { count } from "../lib/format";
import { isSystem } from "../lib/panels";
import { FirstRun } from "../project/FirstRun";
import { NoRunMatches } from "../project/NoRunMatches";
import { ProjectFrame, type ProjectProps } from "../project/ProjectFrame";
import { RunSearch } from "../project/RunSearch";
import { type RunQuery, readRunQuery } from "../project/runQuery";
import { path, route, setQuery } from "../state/route";
import { FilterBar } from "../table/FilterBar";
import { Card } from "../ui/Card";
import { ErrorMessage, Loading } from "../ui/feedback";
import "../styles/run.css";
import "../styles/table.css";
import "../styles/charts.css";
import "../styles/explore.css";

const MAX_RUNS = 5000;
const MAX_AXES = 8;
const REFRESH_MS = 10_000;
const FILTER_FIELDS = ["state", "displayName", "tags", "user", "group", "jobType", "createdAt", "duration", "sweep"];
const RUN_FIELDS = [
  { field: "created_at", title: "Created" },
  { field: "duration", title: "Duration" },
];

export default function ExplorePage({ team, project }: ProjectProps) {
  const fields = useQuery(
    `fields ${team}/${project}`,
    (signal) => call("ListFields", { team, project, page_size: 10_000 }, signal),
    15_000,
    true,
  );
  const body =
    fields.error && !fields.data ? (
      <ErrorMessage error={fields.error} retry={fields.refresh} />
    ) : !fields.data ? (
      <Loading />
    ) : !fields.data.fields.length ? (
      <FirstRun project={project} />
    ) : (
      <ExploreView team={team} project={project} fields={fields.data.fields} />
    );
  return (
    <ProjectFrame team={team} project={project} tab="Explore">
      {body}
    </ProjectFrame>
  );
}

function ExploreView({ team, project, fields }: { team: string; project: string; fields: readonly FieldInfo[] }) {
  const { query } = route.value;
  const runQuery = useMemo(() => readRunQuery(query), [query]);
  const metrics = useMemo(() => metricsOf(fields), [fields]);
  const { objective, maximize, secondMetric, objectives } = readObjectives(query, metrics);
  const defaults = useMemo(() => defaultFields(fields, objective), [fields, objective]);
  const { data, error, refresh, rows, isCurrent } = useExploredRuns(team, project, runQuery, defaults, objective);
  const minimize = (field: string) => field === `summary.${objective}` && !maximize;
  const view = useExploreView(rows, defaults, minimize);
  const axisFields = useMemo(
    () => [...fields.map(({ field }) => ({ field, title: fieldTitle(field) })), ...RUN_FIELDS],
    [fields],
  );
  const shared = { rows, view, fields: axisFields, noun: "run" };
  const filter = importanceFilter(runQuery.filter, runQuery.search);
  return (
    <>
      <div class="table-tools" role="toolbar" aria-label="Which runs">
        <RunSearch value={runQuery.search} />
        <FilterBar conditions={runQuery.conditions} fields={[...FILTER_FIELDS, ...fields.map((item) => item.field)]} />
        <ObjectiveSelect
          label="Metric"
          name="obj"
          goal="max"
          metric={objective}
          maximize={maximize}
          metrics={metrics}
        />
        <span class="grow" />
        {data && (
          <span class="quiet numeric">
            {Number(data.total) > rows.ids.length ? `the newest ${rows.ids.length.toLocaleString("en-US")} of ` : ""}
            {count(Number(data.total), "run")}
          </span>
        )}
      </div>
      {error && !data ? (
        <ErrorMessage error={error} retry={refresh} />
      ) : data?.total === "0" ? (
        <NoRunMatches />
      ) : !data ? (
        <Loading />
      ) : (
        <div class="overview">
          {error && <p class="form-error">{error.message}</p>}
          <ParallelCard {...shared} />
          <div class="pair">
            <ScatterCard {...shared} />
            {objective && (
              <Card title={`What matters for ${objective}`}>
                <Importance
                  team={team}
                  project={project}
                  filter={filter}
                  objective={objectives[0]!}
                  live={false}
                  finiteRuns={isCurrent ? countFinite(rows, `summary.${objective}`) : null}
                  onSelect={(key) => setQuery({ sx: `config.${key}`, sy: `summary.${objective}` })}
                />
              </Card>
            )}
          </div>
          {metrics.length > 1 && (
            <Card
              title="Two metrics at once"
              wide
              tools={
                <ObjectiveSelect
                  label="Second metric"
                  name="obj2"
                  goal="max2"
                  metric={secondMetric}
                  maximize={isMaximized(query.get("max2"), secondMetric)}
                  metrics={metrics.filter((name) => name !== objective)}
                />
              }
            >
              {objectives.length === 2 ? (
                <ParetoFront
                  team={team}
                  project={project}
                  filter={filter}
                  objectives={objectives}
                  enabled={isCurrent && rows.ids.length > 0}
                />
              ) : (
                <p class="quiet">
                  Choose a second metric to see the Pareto front: the runs that no other run beats in both metrics.
                </p>
              )}
            </Card>
          )}
        </div>
      )}
    </>
  );
}

/** Return the metrics to compare: from the URL, or a metric whose name suggests an objective. */
function readObjectives(query: URLSearchParams, metrics: readonly string[]) {
  const objective =
    query.get("obj") ??
    metrics.find((name) => /val.*(acc|loss)|eval/i.test(name)) ??
    metrics.find((name) => /loss|acc/i.test(name)) ??
    metrics[0] ??
    "";
  const maximize = isMaximized(query.get("max"), objective);
  const secondMetric = query.get("obj2") ?? "";
  const objectives = [
    toObjective(objective, maximize),
    ...(secondMetric ? [toObjective(secondMetric, isMaximized(query.get("max2"), secondMetric))] : []),
  ];
  return { objective, maximize, secondMetric, objectives };
}

function useExploredRuns(
  team: string,
  project: string,
  runQuery: RunQuery,
  defaults: DefaultFields,
  objective: string,
) {
  const requested = requestedFields(route.value.query, defaults);
  const axes = [
    ...new Set([...requested.axes, requested.x, requested.y, requested.color, objective && `summary.${objective}`]),
  ]
    .filter(Boolean)
    .slice(0, 50);
  const request = { team, project, axes, filter: runQuery.filter, search: runQuery.search, limit: MAX_RUNS };
  const runsKey = JSON.stringify([runQuery.filter, runQuery.search, objective]);
  const { data, error, refresh } = useQuery(
    axes.length ? `explore ${JSON.stringify(request)}` : null,
    async (signal) => ({ ...(await call("GetParallelCoordinates", request, signal)), runsKey }),
    REFRESH_MS,
    true,
  );
  const isCurrent = data?.runsKey === runsKey; // else the rows belong to the filter before
  const rows: PlotRows = useMemo(
    () => ({
      ids: data?.runs ?? [],
      names: data?.names ?? [],
      links: (data?.runs ?? []).map((run) => path(team, project, "runs", run)),
      columns: (data?.axes ?? []).map(axisToPlotColumn),
    }),
    [data, team, project],
  );
  return { data, error, refresh, rows, isCurrent };
}

function ObjectiveSelect(props: {
  label: string;
  name: string;
  goal: string;
  metric: string;
  maximize: boolean;
  metrics: readonly string[];
}) {
  return (
    <span class="tools">
      <FieldSelect
        label={props.label}
        value={props.metric}
        fields={props.metrics.map((name) => ({ field: name, title: name }))}
        set={(name) => setQuery({ [props.name]: name, [props.goal]: null })}
      />
      {props.metric && (
        <button
          class="toggle"
          title="Whether larger or smaller is better"
          aria-label={`${props.metric}: ${props.maximize ? "larger" : "smaller"} is better`}
          onClick={() => setQuery({ [props.goal]: props.maximize ? "0" : "1" })}
        >
          {props.maximize ? "↑ larger is better" : "↓ smaller is better"}
        </button>
      )}
    </span>
  );
}

function metricsOf(fields: readonly FieldInfo[]): string[] {
  return fields
    .filter(
      (item) => item.metric && item.field.startsWith("summary.") && !isSystem(item.field.slice("summary.".length)),
    )
    .sort((a, b) => Number(b.runs) - Number(a.runs))
    .map((item) => item.field.slice("summary.".length));
}

/** Return whether larger values are better: from the URL, or by the name of the metric. */
function isMaximized(given: string | null, metric: string): boolean {
  return given === null
    ? /acc|auc|f1|score|reward|bleu|rouge|map\b|precision|recall|throughput|per_s/i.test(metric)
    : given === "1";
}

function toObjective(metric: string, maximize: boolean): RunObjective {
  return {
    metric,
    aggregate: "AGGREGATE_LAST",
    goal: maximize ? "GOAL_MAXIMIZE" : "GOAL_MINIMIZE",
    at: "",
    at_goal: "GOAL_UNSPECIFIED",
  };
}

/** Return the default axes: config that most runs have and that varies, then the metric. */
function defaultFields(fields: readonly FieldInfo[], objective: string): DefaultFields {
  const config = fields
    .filter(
      (item) =>
        item.field.startsWith("config.") &&
        !(item.kinds.length === 1 && item.kinds[0] === "number" && item.min === item.max),
    )
    .sort((a, b) => Number(b.runs) - Number(a.runs))
    .slice(0, MAX_AXES - 1)
    .map((item) => item.field);
  const metric = objective ? `summary.${objective}` : "";
  return {
    axes: [...config, ...(metric ? [metric] : [])],
    color: metric,
    x: config[0] ?? "",
    y: metric || (config[1] ?? ""),
  };
}

/** Return a filter with the search as a condition on the name: these methods of the API have no search. */
function importanceFilter(filter: string, search: string): string {
  if (!search) return filter;
  const named = { displayName: { $regex: `(?i)${search.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}` } };
  return JSON.stringify(filter ? { $and: [JSON.parse(filter), named] } : named);
}
