// Sections of chart panels for some runs, with their toolbar. The workspace, a run's page and the comparison use it.
import type { ComponentChildren } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import { call } from "../api/client";
import type { Run } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { type ChartOptions, readChartOptions } from "../chart/chartOptions";
import { Panel, type PanelActions } from "../chart/Panel";
import { count } from "../lib/format";
import { groupIntoSections, isSystem, type Section } from "../lib/panels";
import { queryToText, withChanges } from "../lib/urlQuery";
import { route, setQuery } from "../state/route";
import { useShortcut } from "../state/shortcuts";
import { EmptyState, ErrorMessage, Loading } from "../ui/feedback";
import { Icon } from "../ui/Icon";
import { toast } from "../ui/toasts";
import { ChartToolbar } from "./ChartToolbar";
import "../styles/charts.css";

const METRICS_REFRESH_MS = 5000;
const MAX_METRICS = 10_000;

export interface ChartSectionsProps {
  team: string;
  project: string;
  runs: readonly Run[];
  colors: ReadonlyMap<string, string>;
  highlightedRun?: string | null;
  /** Shows only metrics for which this returns true. */
  metricFilter?: (metric: string) => boolean;
  ranked?: boolean;
  /** The field by which runs are grouped. */
  groupBy?: string;
  /** Tools to the left of the others. */
  tools?: ComponentChildren;
  /** System sections are collapsed unless this is set. */
  system?: boolean;
}

export function ChartSections(props: ChartSectionsProps) {
  const { query } = route.value;
  const options = useMemo(() => readChartOptions(query), [query]);
  const search = query.get("q") ?? "";
  const names = useMetrics(props.team, props.project, props.runs);
  const pinned = query.getAll("pin");
  const metrics = useMemo(
    () => (props.metricFilter ? names.data?.filter(props.metricFilter) : names.data),
    [names.data, props.metricFilter],
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: the text stands for the array
  const sections = useMemo(
    () => groupIntoSections(metrics ?? [], pinned, search),
    [metrics, pinned.join("\n"), search],
  );
  const shownRuns = useRef(props.runs);
  shownRuns.current = props.runs;
  const actions = useMemo(
    () => ({ ...createActions(), block: (metric: string) => copyBlock(metric, shownRuns.current) }),
    [],
  );
  useShortcut("/", "Search metrics", focusSearch);
  useShortcut("l", "Logarithmic axes", actions.flipLog);
  useShortcut("o", "Range without outliers", actions.flipRobust);
  useShortcut("x", "Next x axis", actions.nextAxis);
  useShortcut("z", "Zoom out", actions.zoomOut);
  useShortcut("c", "Copy a link to this view", copyLink);

  if (names.error && !names.data) return <ErrorMessage error={names.error} retry={names.refresh} />;
  return (
    <div class="charts">
      <ChartToolbar
        options={options}
        search={search}
        ranked={props.ranked ?? false}
        groupBy={props.groupBy ?? ""}
        metrics={metrics ?? []}
        copyLink={copyLink}
        tools={props.tools}
      />
      {!props.runs.length ? (
        <EmptyState title="No run is shown">
          <p>Switch runs on in the list of runs.</p>
        </EmptyState>
      ) : !metrics ? (
        <Loading />
      ) : !sections.length ? (
        search ? (
          <EmptyState title="No metric matches">
            <p>
              None of {count(metrics.length, "metric")} matches <code>{search}</code>.
            </p>
            <button class="button" onClick={() => setQuery({ q: null })}>
              Clear the search
            </button>
          </EmptyState>
        ) : (
          <EmptyState title="No metrics yet">
            <p>These runs have not logged any numbers yet. Charts appear here with the first point.</p>
          </EmptyState>
        )
      ) : (
        sections.map((section) => (
          <SectionView
            key={section.name}
            section={section}
            open={isOpen(query, section.name, props.system ?? false)}
            {...props}
            options={options}
            actions={actions}
            pinned={pinned}
            full={query.get("full")}
          />
        ))
      )}
    </div>
  );
}

const PANELS_PER_STEP = 24;

function SectionView(
  props: ChartSectionsProps & {
    section: Section;
    open: boolean;
    options: ChartOptions;
    actions: PanelActions;
    pinned: string[];
    full: string | null;
  },
) {
  const { section } = props;
  const [limit, setLimit] = useState(PANELS_PER_STEP);
  const shown = section.metrics.slice(0, limit);
  return (
    <section class="section" aria-label={section.name}>
      <h2>
        <button
          aria-expanded={props.open}
          onClick={() => toggleSection(section.name, props.open, props.system ?? false)}
        >
          <Icon name={props.open ? "down" : "right"} size={14} />
          {section.name}
          <span class="quiet numeric">{section.metrics.length}</span>
        </button>
      </h2>
      {props.open && (
        <div class="grid">
          {shown.map((metric) => (
            <Panel
              key={metric}
              team={props.team}
              project={props.project}
              metric={metric}
              runs={props.runs}
              colors={props.colors}
              options={props.options}
              actions={props.actions}
              full={props.full === metric}
              pinned={props.pinned.includes(metric)}
              highlightedRun={props.highlightedRun ?? null}
              groupBy={props.groupBy ?? ""}
            />
          ))}
        </div>
      )}
      {props.open && section.metrics.length > limit && (
        <button class="button plain" onClick={() => setLimit(limit + PANELS_PER_STEP * 2)}>
          Show {Math.min(PANELS_PER_STEP * 2, section.metrics.length - limit)} of {section.metrics.length - limit} more
        </button>
      )}
    </section>
  );
}

/** Load the names of these runs' metrics, again and again while a run is running. */
function useMetrics(team: string, project: string, runs: readonly Run[]) {
  const ids = runs.map((run) => run.id).sort();
  const isRunning = runs.some((run) => run.state === "RUN_STATE_RUNNING");
  return useQuery(
    ids.length ? `metrics ${team}/${project} ${ids.join(" ")} ${isRunning}` : null,
    async (signal) => {
      const answer = await call("ListMetrics", { team, project, runs: ids, page_size: MAX_METRICS }, signal);
      return answer.metrics.map((metric) => metric.name);
    },
    isRunning ? METRICS_REFRESH_MS : 0,
    true,
  );
}

function isOpen(query: URLSearchParams, name: string, system: boolean): boolean {
  return query.getAll("fold").includes(name) === (isSystem(name) && !system);
}

function toggleSection(name: string, open: boolean, system: boolean): void {
  const others = route.value.query.getAll("fold").filter((other) => other !== name);
  setQuery({ fold: open === (isSystem(name) && !system) ? others : [...others, name] });
}

function createActions() {
  const flip = (name: string) => setQuery({ [name]: route.value.query.get(name) === "1" ? null : "1" });
  const toggled = (name: string, item: string) => {
    const items = route.value.query.getAll(name);
    setQuery({ [name]: items.includes(item) ? items.filter((other) => other !== item) : [...items, item] });
  };
  return {
    zoom: (range: readonly [number, number] | null) => setQuery({ zoom: range?.map(short).join(":") }, false),
    pin: (metric: string) => toggled("pin", metric),
    open: (metric: string | null) => setQuery({ full: metric }, false),
    log: (metric: string) => toggled("flip", metric),
    resize: (metric: string, width: number, height: number) => {
      const others = route.value.query.getAll("size").filter((other) => !other.startsWith(`${metric}@`));
      setQuery({ size: width === 1 && height === 250 ? others : [...others, `${metric}@${width}x${height}`] });
    },
    flipLog: () => flip("log"),
    flipRobust: () => flip("robust"),
    nextAxis: () => {
      const next = { step: "time", time: "wall", wall: null, metric: null }[readChartOptions(route.value.query).axis];
      setQuery({ x: next, xm: null, zoom: null });
    },
    zoomOut: () => setQuery({ zoom: null }),
  };
}

function short(value: number): string {
  return String(Number(value.toPrecision(13)));
}

/** Copy a block for a report. It names the runs if the user has selected them, else it finds them as this view does. */
function copyBlock(metric: string, runs: readonly Run[]): void {
  const { query, parts } = route.value;
  const byHand = parts.length > 2 || ["on", "off", "run"].some((name) => query.has(name));
  void import("../report/blockSpec").then(({ panelBlock }) => {
    void navigator.clipboard
      .writeText(panelBlock(metric, query, byHand ? runs.map((run) => run.id) : null))
      .then(() => toast("Copied. Paste it into a report."));
  });
}

function focusSearch(): void {
  document.querySelector<HTMLInputElement>("#metric-search")?.focus();
}

function copyLink(): void {
  const url = location.origin + location.pathname + queryToText(withChanges(route.value.query, {}));
  void navigator.clipboard.writeText(url).then(() => toast("The link to this view is copied"));
}
