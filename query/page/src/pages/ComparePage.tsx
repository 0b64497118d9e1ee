// Some runs side by side: what differs in config and summary, and their curves.
import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";
import { call } from "../api/client";
import type { Difference, Run } from "../api/contract";
import { useAnswer } from "../api/useQuery";
import { compared, flatten, type Row } from "../lib/flatten";
import { count, formatDuration, number } from "../lib/format";
import { ProjectFrame, type ProjectProps } from "../project/ProjectFrame";
import { useColors } from "../project/runColors";
import { path, place, setQuery } from "../state/route";
import { Card } from "../ui/Card";
import { Diff } from "../ui/Diff";
import { Empty, ErrorNote, Loading } from "../ui/feedback";
import { Icon } from "../ui/Icon";
import { LongValue } from "../ui/LongValue";
import { RunStateBadge } from "../ui/RunStateBadge";
import { Charts } from "../workspace/ChartSections";
import "../styles/run.css";

const MOST = 20;

export default function Compare({ team, project }: ProjectProps) {
  const { query } = place.value;
  const ids = query.getAll("run").slice(0, MOST);
  const {
    data: runs,
    error,
    refresh,
  } = useAnswer(
    ids.length ? `compare ${team}/${project} ${ids.join(" ")}` : null,
    (signal) => Promise.all(ids.map((run) => call("GetRun", { team, project, run, omit_completeness: true }, signal))),
    5000,
  );
  const all = query.get("all") === "1";
  const colors = useColors(runs ?? []);
  const body = !ids.length ? (
    <Empty title="Choose runs to compare">
      <p>Tick some in the table of runs, then press Compare.</p>
      <p class="row">
        <a class="button" href={path(team, project, "table")}>
          To the runs
        </a>
      </p>
    </Empty>
  ) : error && !runs ? (
    <ErrorNote error={error} retry={refresh} />
  ) : !runs ? (
    <Loading />
  ) : (
    <>
      <div class="overview">
        <Tables runs={runs} colors={colors} all={all} />
        {runs.length > 1 && <Surroundings team={team} project={project} runs={runs} colors={colors} all={all} />}
      </div>
      <Charts team={team} project={project} runs={runs} colors={colors} />
    </>
  );
  return (
    <ProjectFrame team={team} project={project} tab="Compare">
      {body}
    </ProjectFrame>
  );
}

function Tables({ runs, colors, all }: { runs: readonly Run[]; colors: ReadonlyMap<string, string>; all: boolean }) {
  const config = useMemo(() => compared(runs.map((run) => flatten(run.config))), [runs]);
  const summary = useMemo(() => compared(runs.map((run) => flatten(run.summary))), [runs]);
  const tools = (
    <button class="toggle" aria-pressed={!all} onClick={() => setQuery({ all: !all })}>
      Only differences
    </button>
  );
  return (
    <Card title={`${runs.length} runs`} wide tools={tools}>
      <Sheet runs={runs} colors={colors}>
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
                {formatDuration(number(run.duration_s))}
              </td>
            ))}
          </tr>
        </tbody>
        <Group title="Config" runs={runs} rows={config} all={all} />
        <Group title="Summary" runs={runs} rows={summary} all={all} />
      </Sheet>
    </Card>
  );
}

function Sheet({
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

function Group({
  title,
  runs,
  rows,
  all,
}: {
  title: string;
  runs: readonly Run[];
  rows: readonly Row[];
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
          {row.values.map((value, at) => (
            <td
              key={runs[at]!.id}
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

const PARTS = [
  ["Environment", "environment"],
  ["Packages", "packages"],
  ["Variables", "variables"],
  ["Git", "git"],
] as const;

/** Asked of the server, which compares what the list of runs leaves out. Folded: there are hundreds of packages. */
function Surroundings(props: {
  team: string;
  project: string;
  runs: readonly Run[];
  colors: ReadonlyMap<string, string>;
  all: boolean;
}) {
  const { team, project, runs, all } = props;
  const ids = runs.map((run) => run.id);
  const open = place.value.query.get("where") === "1";
  const { data, error } = useAnswer(
    `surroundings ${team}/${project} ${ids.join(" ")} ${all}`,
    (signal) => call("CompareRuns", { team, project, runs: ids, all }, signal),
    0,
    true,
  );
  if (error && !data) return <ErrorNote error={error} />;
  if (!data) return null;
  const parts = PARTS.map(([title, part]) => ({ title, rows: data[part].map(rowOf) }));
  const told = parts
    .map(({ title, rows }) => ({ title, differing: rows.filter((row) => row.differs).length }))
    .filter((one) => one.differing);
  const notes = [
    ...told.map((one) => `${one.title} ${one.differing}`),
    ...(data.git_diffs.length ? ["uncommitted changes"] : []),
  ];
  return (
    <section class="info wide surroundings" aria-label="Where they ran">
      <button class="fold" aria-expanded={open} onClick={() => setQuery({ where: !open })}>
        <Icon name={open ? "down" : "right"} size={14} />
        <h2>Where they ran</h2>
        <span class="quiet">{notes.length ? `differs: ${notes.join(", ")}` : "nothing differs"}</span>
      </button>
      {open && (
        <>
          <Sheet runs={runs} colors={props.colors}>
            {parts
              .filter(({ rows }) => rows.length)
              .map(({ title, rows }) => (
                <Group key={title} title={title} runs={runs} rows={rows} all={all} />
              ))}
          </Sheet>
          {data.git_diffs.map((diff) => (
            <Uncommitted key={diff.run} runs={runs} run={diff.run} text={diff.unified_diff} cut={diff.truncated} />
          ))}
        </>
      )}
    </section>
  );
}

function Uncommitted({ runs, run, text, cut }: { runs: readonly Run[]; run: string; text: string; cut: boolean }) {
  const name = (id: string | undefined) => runs.find((one) => one.id === id)?.name ?? id;
  const title = `Uncommitted changes: from ${name(runs[0]?.id)} to ${name(run)}`;
  return (
    <section aria-label={title}>
      <h3>{title}</h3>
      <Diff text={text} label="difference of the uncommitted changes" />
      {cut && <p class="quiet">There is more: it was cut off here.</p>}
    </section>
  );
}

/** Null where a run has none; what is missing is no value. */
function rowOf(difference: Difference): Row {
  const values = difference.values.map((value, at) => (difference.present[at] ? value : undefined));
  return { key: difference.key, values, differs: difference.change !== "CHANGE_SAME" };
}
