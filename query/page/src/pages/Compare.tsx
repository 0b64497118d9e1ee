// Some runs side by side: what differs in config and summary, and their curves.
import { useMemo } from "preact/hooks";
import type { CompareRunsResponse, Difference, Run } from "../api/contract";
import { call } from "../api/client";
import { useAnswer } from "../api/use";
import { path, place, setQuery } from "../app/location";
import { compared, flatten, type Row } from "../lib/flatten";
import { formatDuration, number } from "../lib/format";
import { Empty, ErrorNote, Loading, State } from "../ui/states";
import { Charts } from "./Charts";
import { Diff } from "../ui/Diff";
import { Card, Value } from "./Overview";
import { ProjectFrame, type ProjectProps, useColors } from "./project";
import "../styles/run.css";

const MOST = 20;

export default function Compare({ team, project }: ProjectProps) {
  const { query } = place.value;
  const ids = query.getAll("run").slice(0, MOST);
  const { data: runs, error, refresh } = useAnswer(
    ids.length ? `compare ${team}/${project} ${ids.join(" ")}` : null,
    (signal) => Promise.all(ids.map((run) => call("GetRun", { team, project, run }, signal))),
    5000,
  );
  const all = query.get("all") === "1";
  const surroundings = useAnswer(
    ids.length > 1 ? `surroundings ${team}/${project} ${ids.join(" ")} ${all}` : null,
    (signal) => call("CompareRuns", { team, project, runs: ids, all }, signal),
  );
  const colors = useColors(runs ?? []);
  const body = !ids.length ? (
    <Empty title="Choose runs to compare">
      <p>Tick some in the table of runs, then press Compare.</p>
      <p class="row"><a class="button" href={path(team, project, "table")}>To the runs</a></p>
    </Empty>
  ) : error && !runs ? (
    <ErrorNote error={error} retry={refresh} />
  ) : !runs ? (
    <Loading />
  ) : (
    <>
      <Tables runs={runs} colors={colors} all={all} found={surroundings.data} />
      <Charts team={team} project={project} runs={runs} colors={colors} />
    </>
  );
  return <ProjectFrame team={team} project={project} tab="Compare">{body}</ProjectFrame>;
}

/** Where they ran: asked of the server, which has what the list of runs leaves out. */
const SURROUNDINGS = [["Environment", "environment"], ["Packages", "packages"], ["Variables", "variables"], ["Git", "git"]] as const;

function Tables({ runs, colors, all, found }: { runs: readonly Run[]; colors: ReadonlyMap<string, string>; all: boolean; found: CompareRunsResponse | undefined }) {
  const config = useMemo(() => compared(runs.map((run) => flatten(run.config))), [runs]);
  const summary = useMemo(() => compared(runs.map((run) => flatten(run.summary))), [runs]);
  const shown = (rows: Row[]) => rows.filter((row) => all || row.differs);
  const tools = (
    <button class="toggle" aria-pressed={!all} onClick={() => setQuery({ all: !all })}>Only differences</button>
  );
  const group = (title: string, rows: Row[], of = `${rows.length}`) => (
    <tbody>
      <tr class="group"><th colSpan={runs.length + 1} scope="colgroup">{title} <span class="quiet">{shown(rows).length}{of && ` of ${of}`}</span></th></tr>
      {shown(rows).map((row) => (
        <tr key={row.key}>
          <th scope="row" class="clip" title={row.key}>{row.key}</th>
          {row.values.map((value, at) => (
            <td key={runs[at]!.id} class={row.differs && JSON.stringify(value) !== JSON.stringify(row.values[0]) ? "changed numeric" : "numeric"}><Value value={value} /></td>
          ))}
        </tr>
      ))}
    </tbody>
  );
  return (
    <div class="overview">
      <Card title={`${runs.length} runs`} wide tools={tools}>
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
            <tbody>
              <tr>
                <th scope="row">State</th>
                {runs.map((run) => <td key={run.id}><State state={run.state} /></td>)}
              </tr>
              <tr>
                <th scope="row">Duration</th>
                {runs.map((run) => <td key={run.id} class="numeric">{formatDuration(number(run.duration_s))}</td>)}
              </tr>
            </tbody>
            {group("Config", config)}
            {group("Summary", summary)}
            {found && SURROUNDINGS.filter(([, part]) => found[part].length).map(([title, part]) => group(title, found[part].map(rowOf), ""))}
          </table>
        </div>
      </Card>
      {found?.git_diffs.map((diff) => <Uncommitted key={diff.run} runs={runs} run={diff.run} text={diff.unified_diff} cut={diff.truncated} />)}
    </div>
  );
}

function Uncommitted({ runs, run, text, cut }: { runs: readonly Run[]; run: string; text: string; cut: boolean }) {
  const name = (id: string | undefined) => runs.find((one) => one.id === id)?.name ?? id;
  return (
    <Card title={`Uncommitted changes: from ${name(runs[0]?.id)} to ${name(run)}`} wide>
      <Diff text={text} label="difference of the uncommitted changes" />
      {cut && <p class="quiet">There is more: it was cut off here.</p>}
    </Card>
  );
}

/** Null where a run has none; what is missing is no value. */
function rowOf(difference: Difference): Row {
  const values = difference.values.map((value, at) => (difference.present[at] ? value : undefined));
  return { key: difference.key, values, differs: difference.change !== "CHANGE_SAME" };
}
