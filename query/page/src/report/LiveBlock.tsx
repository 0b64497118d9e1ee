// The live blocks of a report: charts, and tables of runs.
import type { ComponentChildren } from "preact";
import { useMemo, useState } from "preact/hooks";
import { call } from "../api/client";
import type { Run } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { type ChartOptions, readChartOptions } from "../chart/chartOptions";
import { Panel, type PanelActions } from "../chart/Panel";
import { assignColors } from "../lib/colors";
import { compareNaturally } from "../lib/panels";
import { toFilter } from "../project/filters";
import { path } from "../state/route";
import { flattenedValues, toRunColumn } from "../table/runColumns";
import { RunStateBadge } from "../ui/RunStateBadge";
import { type BlockSpec, BlockSpecError, isPattern, parseSpec } from "./blockSpec";
import "../styles/charts.css";

const REFRESH_MS = 3000;
const MAX_PANELS = 24;

interface ProjectRef {
  team: string;
  project: string;
}

/** Return a function that renders a fenced block. It returns null for a block that is plain code. */
export function liveBlock(projectRef: ProjectRef) {
  return (language: string, text: string, key: string) => {
    if (language !== "panel" && language !== "runs") return null;
    return <LiveBlock key={key} {...projectRef} table={language === "runs"} text={text} />;
  };
}

function LiveBlock({ team, project, table, text }: ProjectRef & { table: boolean; text: string }) {
  const parsed = useMemo(() => parseOrError(text), [text]);
  if (parsed instanceof BlockSpecError)
    return (
      <BlockError>
        {table ? "runs" : "panel"}: {parsed.message}
      </BlockError>
    );
  return table ? (
    <RunsBlock team={team} project={project} spec={parsed} />
  ) : (
    <PanelBlock team={team} project={project} spec={parsed} />
  );
}

function parseOrError(text: string): BlockSpec | BlockSpecError {
  try {
    return parseSpec(text);
  } catch (error) {
    return error as BlockSpecError;
  }
}

function BlockError({ children }: { children: ComponentChildren }) {
  return (
    <p class="block-error" role="note">
      {children}
    </p>
  );
}

/** Load the runs that a block names or finds, in the order of the block. */
function useBlockRuns(projectRef: ProjectRef, spec: BlockSpec, fields: string[]) {
  const byName = spec.runs.length ? [{ $or: [{ id: { $in: spec.runs } }, { displayName: { $in: spec.runs } }] }] : [];
  const byCondition = toFilter(spec.conditions);
  const parts = [...byName, ...(byCondition ? [JSON.parse(byCondition) as object] : [])];
  const filter = !parts.length ? "" : JSON.stringify(parts.length === 1 ? parts[0] : { $and: parts });
  const size = spec.runs.length ? Math.max(spec.runs.length, spec.limit) : spec.limit;
  const request = {
    ...projectRef,
    filter,
    search: spec.search,
    order: spec.order ? [spec.order] : [],
    fields,
    page_size: Math.min(size, 100),
  };
  const answer = useQuery(
    `block ${JSON.stringify(request)}`,
    (signal) => call("ListRuns", request, signal),
    REFRESH_MS,
    true,
  );
  const runs = useMemo(() => {
    const all = answer.data?.runs ?? [];
    if (!spec.runs.length || spec.order) return all;
    const index = (run: Run) =>
      Math.min(...[run.id, run.name].map((name) => spec.runs.indexOf(name)).filter((item) => item >= 0));
    return [...all].sort((a, b) => index(a) - index(b));
  }, [answer.data, spec]);
  return { ...answer, runs };
}

function PanelBlock({ team, project, spec }: ProjectRef & { spec: BlockSpec }) {
  const { runs, error, waiting } = useBlockRuns({ team, project }, spec, ["none"]);
  const metrics = useBlockMetrics({ team, project }, spec, runs);
  const ids = runs.map((run) => run.id).join("\n");
  const colors = useMemo(() => assignColors(ids ? ids.split("\n") : []), [ids]);
  const [zoom, setZoom] = useState<readonly [number, number] | null>(null);
  const [full, setFull] = useState<string | null>(null);
  const [flipped, setFlipped] = useState<ReadonlySet<string>>(new Set());
  const options = useMemo(
    (): ChartOptions => ({
      ...readChartOptions(spec.chartQuery),
      flipped,
      ...(zoom ? { zoom: [zoom[0], zoom[1]] as [number, number] } : {}),
    }),
    [spec, zoom, flipped],
  );
  const actions = useMemo(
    (): PanelActions => ({
      zoom: setZoom,
      open: setFull,
      log: (metric) =>
        setFlipped(
          (before) => new Set(before.has(metric) ? [...before].filter((item) => item !== metric) : [...before, metric]),
        ),
      pin: () => undefined,
      resize: () => undefined,
    }),
    [],
  );
  if (!spec.metrics.length)
    return <BlockError>panel: say which metrics to draw, for example metrics: train/loss</BlockError>;
  if (error && !runs.length) return <BlockError>panel: {error.message}</BlockError>;
  if (!waiting && !runs.length) return <BlockError>panel: no run of the project matches</BlockError>;
  return (
    <figure class="report-panel">
      {spec.title && <figcaption>{spec.title}</figcaption>}
      <div class="grid">
        {metrics.map((metric) => (
          <Panel
            key={metric}
            team={team}
            project={project}
            metric={metric}
            runs={runs}
            colors={colors}
            options={options}
            actions={actions}
            full={full === metric}
            pinned={false}
            highlightedRun={null}
            groupBy={spec.group}
            fixedHeight={spec.height}
          />
        ))}
      </div>
      {!spec.group && (
        <ul class="legend">
          {runs.map((run) => (
            <li key={run.id} class="clip">
              <i class="swatch" style={{ background: colors.get(run.id) ?? "#888" }} />
              <a href={path(run.team, run.project, "runs", run.id)}>{run.name}</a>
            </li>
          ))}
        </ul>
      )}
    </figure>
  );
}

/** Return the metrics of a block. Patterns are replaced by the matching metrics of these runs. */
function useBlockMetrics(projectRef: ProjectRef, spec: BlockSpec, runs: readonly Run[]): string[] {
  const patterns = spec.metrics.filter(isPattern);
  const ids = runs.map((run) => run.id);
  const { data } = useQuery(
    patterns.length && ids.length ? `block metrics ${JSON.stringify([projectRef, patterns, ids])}` : null,
    async (signal) => {
      const answers = await Promise.all(
        patterns.map((glob) => call("ListMetrics", { ...projectRef, runs: ids, glob, page_size: MAX_PANELS }, signal)),
      );
      return new Map(
        patterns.map((glob, index) => [glob, answers[index]!.metrics.map((item) => item.name).sort(compareNaturally)]),
      );
    },
    0,
    true,
  );
  const names = spec.metrics.flatMap((name) => (isPattern(name) ? (data?.get(name) ?? []) : [name]));
  return [...new Set(names)].slice(0, MAX_PANELS);
}

const FIRST_COLUMNS = ["created_at", "duration", "tags"];

function RunsBlock({ team, project, spec }: ProjectRef & { spec: BlockSpec }) {
  const names = spec.columns.length ? spec.columns.filter((name) => name !== "name") : FIRST_COLUMNS;
  const wanted = names.filter((name) => /^(config|summary)\./.test(name));
  const { runs, error, waiting } = useBlockRuns({ team, project }, spec, wanted.length ? wanted : ["none"]);
  const columns = names.map(toRunColumn);
  if (error && !runs.length) return <BlockError>runs: {error.message}</BlockError>;
  if (!waiting && !runs.length) return <BlockError>runs: no run of the project matches</BlockError>;
  return (
    <figure class="report-panel">
      {spec.title && <figcaption>{spec.title}</figcaption>}
      <div class="scrolled" tabIndex={0} role="region" aria-label={spec.title || "Runs"}>
        <table class="plain-table dense">
          <thead>
            <tr>
              <th scope="col">Name</th>
              {columns.map((column) => (
                <th key={column.field} scope="col" class={column.numeric ? "right" : ""}>
                  {column.title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {runs.map((run) => (
              <RunRow key={run.id} run={run} columns={columns} />
            ))}
          </tbody>
        </table>
      </div>
    </figure>
  );
}

function RunRow({ run, columns }: { run: Run; columns: ReturnType<typeof toRunColumn>[] }) {
  const values = useMemo(() => flattenedValues(run), [run]);
  return (
    <tr>
      <td>
        <RunStateBadge state={run.state} bare /> <a href={path(run.team, run.project, "runs", run.id)}>{run.name}</a>
      </td>
      {columns.map((column) => (
        <td key={column.field} class={column.numeric ? "right numeric" : ""}>
          {column.text(run, values)}
        </td>
      ))}
    </tr>
  );
}
