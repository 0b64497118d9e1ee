// Any runs of a project: parallel coordinates, what matters, one thing against another, the front of two metrics.
import { useMemo } from "preact/hooks";
import { call } from "../api/client";
import type { FieldInfo, RunObjective } from "../api/contract";
import { useAnswer } from "../api/useQuery";
import { FieldSelect, ParallelCard, ScatterCard } from "../explore/ExplorerCards";
import { type First, fieldsOf, useView } from "../explore/exploreView";
import { Importance } from "../explore/Importance";
import { Front } from "../explore/ParetoFront";
import { columnOfAxis, finiteOf, type Rows, titleOf } from "../explore/plotColumns";
import { count } from "../lib/format";
import { isSystem } from "../lib/panels";
import { FirstRun } from "../project/FirstRun";
import { ProjectFrame, type ProjectProps } from "../project/ProjectFrame";
import { questionOf } from "../project/runQuery";
import { path, place, setQuery } from "../state/route";
import { FilterBar } from "../table/FilterBar";
import { Card } from "../ui/Card";
import { Empty, ErrorNote, Loading } from "../ui/feedback";
import { Icon } from "../ui/Icon";
import "../styles/run.css";
import "../styles/table.css";
import "../styles/charts.css";
import "../styles/explore.css";

const MOST_RUNS = 5000;
const MOST_AXES = 8;
const EVERY_MS = 10_000;
const FILTER_FIELDS = ["state", "displayName", "tags", "user", "group", "jobType", "createdAt", "duration", "sweep"];
const OWN = [
  { field: "created_at", title: "Created" },
  { field: "duration", title: "Duration" },
];

export default function Explore({ team, project }: ProjectProps) {
  const fields = useAnswer(
    `fields ${team}/${project}`,
    (signal) => call("ListFields", { team, project, page_size: 10_000 }, signal),
    15_000,
    true,
  );
  const body =
    fields.error && !fields.data ? (
      <ErrorNote error={fields.error} retry={fields.refresh} />
    ) : !fields.data ? (
      <Loading />
    ) : !fields.data.fields.length ? (
      <FirstRun project={project} />
    ) : (
      <Explored team={team} project={project} fields={fields.data.fields} />
    );
  return (
    <ProjectFrame team={team} project={project} tab="Explore">
      {body}
    </ProjectFrame>
  );
}

function Explored({ team, project, fields }: { team: string; project: string; fields: readonly FieldInfo[] }) {
  const { query } = place.value;
  const question = useMemo(() => questionOf(query), [query]);
  const metrics = useMemo(() => metricsOf(fields), [fields]);
  const objective =
    query.get("obj") ??
    metrics.find((name) => /val.*(acc|loss)|eval/i.test(name)) ??
    metrics.find((name) => /loss|acc/i.test(name)) ??
    metrics[0] ??
    "";
  const maximize = goalOf(query.get("max"), objective);
  const second = query.get("obj2") ?? "";
  const first = useMemo(() => firstOf(fields, objective), [fields, objective]);
  const wanted = fieldsOf(query, first);
  const axes = [...new Set([...wanted.axes, wanted.x, wanted.y, wanted.color, objective && `summary.${objective}`])]
    .filter(Boolean)
    .slice(0, 50);
  const request = { team, project, axes, filter: question.filter, search: question.search, limit: MOST_RUNS };
  const which = JSON.stringify([question.filter, question.search, objective]);
  const { data, error, refresh } = useAnswer(
    axes.length ? `explore ${JSON.stringify(request)}` : null,
    async (signal) => ({ ...(await call("GetParallelCoordinates", request, signal)), question: which }),
    EVERY_MS,
    true,
  );
  const isKnown = data?.question === which; // what is shown are the runs that are asked for, not those of before
  const rows: Rows = useMemo(
    () => ({
      ids: data?.runs ?? [],
      names: data?.names ?? [],
      links: (data?.runs ?? []).map((run) => path(team, project, "runs", run)),
      columns: (data?.axes ?? []).map(columnOfAxis),
    }),
    [data],
  );
  const minimize = (field: string) => field === `summary.${objective}` && !maximize;
  const view = useView(rows, first, minimize);
  const choices = useMemo(() => [...fields.map(({ field }) => ({ field, title: titleOf(field) })), ...OWN], [fields]);
  const objectives = [
    asked(objective, maximize),
    ...(second ? [asked(second, goalOf(query.get("max2"), second))] : []),
  ];
  const shared = { rows, view, fields: choices, what: "run" };
  const none = data && data.total === "0";
  return (
    <>
      <div class="table-tools" role="toolbar" aria-label="Which runs">
        <div class="field">
          <Icon name="search" size={14} />
          <input
            type="search"
            placeholder="Search runs"
            aria-label="Search runs"
            value={question.search}
            onInput={(event) => setQuery({ find: event.currentTarget.value })}
          />
        </div>
        <FilterBar conditions={question.conditions} fields={[...FILTER_FIELDS, ...fields.map((one) => one.field)]} />
        <Goal label="Metric" name="obj" goal="max" metric={objective} maximize={maximize} metrics={metrics} />
        <span class="grow" />
        {data && (
          <span class="quiet numeric">
            {Number(data.total) > rows.ids.length ? `the newest ${rows.ids.length.toLocaleString("en-US")} of ` : ""}
            {count(Number(data.total), "run")}
          </span>
        )}
      </div>
      {error && !data ? (
        <ErrorNote error={error} retry={refresh} />
      ) : none ? (
        <Empty title="No run matches">
          <p>No run of this project has all that.</p>
          <p class="row">
            <button class="button" onClick={() => setQuery({ find: null, f: null })}>
              Clear search and filters
            </button>
          </p>
        </Empty>
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
                  filter={importanceFilter(question.filter, question.search)}
                  objective={objectives[0]!}
                  live={false}
                  finite={isKnown ? finiteOf(rows, `summary.${objective}`) : null}
                  pick={(key) => setQuery({ sx: `config.${key}`, sy: `summary.${objective}` })}
                />
              </Card>
            )}
          </div>
          {metrics.length > 1 && (
            <Card
              title="Two metrics at once"
              wide
              tools={
                <Goal
                  label="Second metric"
                  name="obj2"
                  goal="max2"
                  metric={second}
                  maximize={goalOf(query.get("max2"), second)}
                  metrics={metrics.filter((name) => name !== objective)}
                />
              }
            >
              {objectives.length === 2 ? (
                <Front
                  team={team}
                  project={project}
                  filter={importanceFilter(question.filter, question.search)}
                  objectives={objectives}
                  ask={isKnown && rows.ids.length > 0}
                />
              ) : (
                <p class="quiet">Choose a second metric: the front has the runs that none is better than in both.</p>
              )}
            </Card>
          )}
        </div>
      )}
    </>
  );
}

function Goal(props: {
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
    .filter((one) => one.metric && one.field.startsWith("summary.") && !isSystem(one.field.slice("summary.".length)))
    .sort((a, b) => Number(b.runs) - Number(a.runs))
    .map((one) => one.field.slice("summary.".length));
}

/** What the URL says, else what the name suggests. */
function goalOf(given: string | null, metric: string): boolean {
  return given === null
    ? /acc|auc|f1|score|reward|bleu|rouge|map\b|precision|recall|throughput|per_s/i.test(metric)
    : given === "1";
}

function asked(metric: string, maximize: boolean): RunObjective {
  return {
    metric,
    aggregate: "AGGREGATE_LAST",
    goal: maximize ? "GOAL_MAXIMIZE" : "GOAL_MINIMIZE",
    at: "",
    at_goal: "GOAL_UNSPECIFIED",
  };
}

/** Config that most runs have and that varies, then the metric. */
function firstOf(fields: readonly FieldInfo[], objective: string): First {
  const config = fields
    .filter(
      (one) =>
        one.field.startsWith("config.") &&
        !(one.kinds.length === 1 && one.kinds[0] === "number" && one.min === one.max),
    )
    .sort((a, b) => Number(b.runs) - Number(a.runs))
    .slice(0, MOST_AXES - 1)
    .map((one) => one.field);
  const metric = objective ? `summary.${objective}` : "";
  return {
    axes: [...config, ...(metric ? [metric] : [])],
    color: metric,
    x: config[0] ?? "",
    y: metric || (config[1] ?? ""),
  };
}

/** The API's other questions have no search: it is a condition on the name there. */
function importanceFilter(filter: string, search: string): string {
  if (!search) return filter;
  const named = { displayName: { $regex: `(?i)${search.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}` } };
  return JSON.stringify(filter ? { $and: [JSON.parse(filter), named] } : named);
}
