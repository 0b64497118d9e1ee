// Some runs side by side: what differs in config and summary, and their curves.
import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";
import { call } from "../api/client";
import type { Difference, Run } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { type ComparedRow, compareValues, flatten } from "../lib/flatten";
import { count, formatDuration, toNumber } from "../lib/format";
import { ProjectFrame, type ProjectProps } from "../project/ProjectFrame";
import { useRunColors } from "../project/runColors";
import { path, route, setQuery } from "../state/route";
import { Card } from "../ui/Card";
import { Diff } from "../ui/Diff";
import { EmptyState, ErrorMessage, Loading } from "../ui/feedback";
import { Icon } from "../ui/Icon";
import { LongValue } from "../ui/LongValue";
import { RunStateBadge } from "../ui/RunStateBadge";
import { ChartSections } from "../workspace/ChartSections";
import "../styles/run.css";

const MAX_RUNS = 20;

export default function ComparePage({ team, project }: ProjectProps) {
  const { query } = route.value;
  const ids = query.getAll("run").slice(0, MAX_RUNS);
  const {
    data: runs,
    error,
    refresh,
  } = useQuery(
    ids.length ? `compare ${team}/${project} ${ids.join(" ")}` : null,
    (signal) => Promise.all(ids.map((run) => call("GetRun", { team, project, run, omit_completeness: true }, signal))),
    5000,
  );
  const all = query.get("all") === "1";
  const colors = useRunColors(runs ?? []);
  const body = !ids.length ? (
    <EmptyState title="Choose runs to compare">
      <p>Select runs in the table of runs, then press Compare.</p>
      <p class="row">
        <a class="button" href={path(team, project, "table")}>
          Go to the table of runs
        </a>
      </p>
    </EmptyState>
  ) : error && !runs ? (
    <ErrorMessage error={error} retry={refresh} />
  ) : !runs ? (
    <Loading />
  ) : (
    <>
      <div class="overview">
        <ValueComparison runs={runs} colors={colors} all={all} />
        {runs.length > 1 && (
          <EnvironmentComparison team={team} project={project} runs={runs} colors={colors} all={all} />
        )}
      </div>
      <ChartSections team={team} project={project} runs={runs} colors={colors} />
    </>
  );
  return (
    <ProjectFrame team={team} project={project} tab="Compare">
      {body}
    </ProjectFrame>
  );
}

function ValueComparison({
  runs,
  colors,
  all,
}: {
  runs: readonly Run[];
  colors: ReadonlyMap<string, string>;
  all: boolean;
}) {
  const config = useMemo(() => compareValues(runs.map((run) => flatten(run.config))), [runs]);
  const summary = useMemo(() => compareValues(runs.map((run) => flatten(run.summary))), [runs]);
  const tools = (
    <button class="toggle" aria-pressed={!all} onClick={() => setQuery({ all: !all })}>
      Only differences
    </button>
  );
  return (
    <Card title={`${runs.length} runs`} wide tools={tools}>
      <ComparisonTable runs={runs} colors={colors}>
        <tbody>
          <tr>
            <th scope="row">State</th>
            {runs.map((run) => (
              <td key={run.id}>
                <RunStateBadge state={run.state} />
              </td>
            ))}
          </tr>
          <tr>
            <th scope="row">Duration</th>
            {runs.map((run) => (
              <td key={run.id} class="numeric">
                {formatDuration(toNumber(run.duration_s))}
              </td>
            ))}
          </tr>
        </tbody>
        <ComparisonRows title="Config" runs={runs} rows={config} all={all} />
        <ComparisonRows title="Summary" runs={runs} rows={summary} all={all} />
      </ComparisonTable>
    </Card>
  );
}

function ComparisonTable({
  runs,
  colors,
  children,
}: {
  runs: readonly Run[];
  colors: ReadonlyMap<string, string>;
  children: ComponentChildren;
}) {
  return (
    <div class="scrolled">
      <table class="compare">
        <thead>
          <tr>
            <td />
            {runs.map((run) => (
              <th key={run.id} scope="col">
                <i class="swatch" style={{ background: colors.get(run.id) ?? "" }} />
                <a href={path(run.team, run.project, "runs", run.id)}>{run.name}</a>
              </th>
            ))}
          </tr>
        </thead>
        {children}
      </table>
    </div>
  );
}

function ComparisonRows({
  title,
  runs,
  rows,
  all,
}: {
  title: string;
  runs: readonly Run[];
  rows: readonly ComparedRow[];
  all: boolean;
}) {
  const differing = rows.filter((row) => row.differs);
  return (
    <tbody>
      <tr class="group">
        <th colSpan={runs.length + 1} scope="colgroup">
          {title} <span class="quiet">{all ? count(rows.length, "key") : count(differing.length, "difference")}</span>
        </th>
      </tr>
      {(all ? rows : differing).map((row) => (
        <tr key={row.key}>
          <th scope="row" class="clip" title={row.key}>
            {row.key}
          </th>
          {row.values.map((value, index) => (
            <td
              key={runs[index]!.id}
              class={
                row.differs && JSON.stringify(value) !== JSON.stringify(row.values[0]) ? "changed numeric" : "numeric"
              }
            >
              <LongValue value={value} />
            </td>
          ))}
        </tr>
      ))}
    </tbody>
  );
}

const ENVIRONMENT_PARTS = [
  ["Environment", "environment"],
  ["Packages", "packages"],
  ["Variables", "variables"],
  ["Git", "git"],
] as const;

/**
 * The differences of environment, packages and git. The server compares them, because the list of runs does not have
 * them. They are folded, as there are hundreds of packages.
 */
function EnvironmentComparison(props: {
  team: string;
  project: string;
  runs: readonly Run[];
  colors: ReadonlyMap<string, string>;
  all: boolean;
}) {
  const { team, project, runs, all } = props;
  const ids = runs.map((run) => run.id);
  const open = route.value.query.get("where") === "1";
  const { data, error } = useQuery(
    `surroundings ${team}/${project} ${ids.join(" ")} ${all}`,
    (signal) => call("CompareRuns", { team, project, runs: ids, all }, signal),
    0,
    true,
  );
  if (error && !data) return <ErrorMessage error={error} />;
  if (!data) return null;
  const parts = ENVIRONMENT_PARTS.map(([title, part]) => ({ title, rows: data[part].map(toRow) }));
  const differences = parts
    .map(({ title, rows }) => ({ title, differing: rows.filter((row) => row.differs).length }))
    .filter((item) => item.differing);
  const notes = [
    ...differences.map((item) => `${item.title} ${item.differing}`),
    ...(data.git_diffs.length ? ["uncommitted changes"] : []),
  ];
  return (
    <section class="info wide surroundings" aria-label="Where they ran">
      <button class="fold" aria-expanded={open} onClick={() => setQuery({ where: !open })}>
        <Icon name={open ? "down" : "right"} size={14} />
        <h2>Where they ran</h2>
        <span class="quiet">{notes.length ? `differs: ${notes.join(", ")}` : "no differences"}</span>
      </button>
      {open && (
        <>
          <ComparisonTable runs={runs} colors={props.colors}>
            {parts
              .filter(({ rows }) => rows.length)
              .map(({ title, rows }) => (
                <ComparisonRows key={title} title={title} runs={runs} rows={rows} all={all} />
              ))}
          </ComparisonTable>
          {data.git_diffs.map((diff) => (
            <Uncommitted key={diff.run} runs={runs} run={diff.run} text={diff.unified_diff} cut={diff.truncated} />
          ))}
        </>
      )}
    </section>
  );
}

function Uncommitted({ runs, run, text, cut }: { runs: readonly Run[]; run: string; text: string; cut: boolean }) {
  const name = (id: string | undefined) => runs.find((item) => item.id === id)?.name ?? id;
  const title = `Uncommitted changes: from ${name(runs[0]?.id)} to ${name(run)}`;
  return (
    <section aria-label={title}>
      <h3>{title}</h3>
      <Diff text={text} label="difference of the uncommitted changes" />
      {cut && <p class="quiet">The difference is longer. It was cut off here.</p>}
    </section>
  );
}

/** Convert a difference to a row. A missing value is undefined, not null. */
function toRow(difference: Difference): ComparedRow {
  const values = difference.values.map((value, index) => (difference.present[index] ? value : undefined));
  return { key: difference.key, values, differs: difference.change !== "CHANGE_SAME" };
}
