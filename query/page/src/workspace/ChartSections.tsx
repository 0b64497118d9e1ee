// Sections of panels over some runs, with the tools that shape them. The workspace, a run's page and a comparison use it.
import type { ComponentChildren } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import { call } from "../api/client";
import type { Run } from "../api/contract";
import { useAnswer } from "../api/useQuery";
import { type Look, readLook } from "../chart/chartOptions";
import { Panel, type PanelActions } from "../chart/Panel";
import { count } from "../lib/format";
import { isSystem, type Section, sectionsOf } from "../lib/panels";
import { toText, withChanges } from "../lib/urlQuery";
import { place, setQuery } from "../state/route";
import { useShortcut } from "../state/shortcuts";
import { Empty, ErrorNote, Loading } from "../ui/feedback";
import { Icon } from "../ui/Icon";
import { toast } from "../ui/toasts";
import { Toolbar } from "./ChartToolbar";
import "../styles/charts.css";

const NAMES_EVERY_MS = 5000;
const NAMES_AT_MOST = 10_000;

export interface ChartsProps {
  team: string;
  project: string;
  runs: readonly Run[];
  colors: ReadonlyMap<string, string>;
  strong?: string | null;
  /** Only metrics for which this holds. */
  keep?: (metric: string) => boolean;
  ranked?: boolean;
  /** Group runs by this field. */
  by?: string;
  /** More tools, before the others. */
  tools?: ComponentChildren;
  /** System sections are folded unless this is set. */
  system?: boolean;
}

export function Charts(props: ChartsProps) {
  const { query } = place.value;
  const look = useMemo(() => readLook(query), [query]);
  const search = query.get("q") ?? "";
  const names = useMetrics(props.team, props.project, props.runs);
  const pinned = query.getAll("pin");
  const metrics = useMemo(() => (props.keep ? names.data?.filter(props.keep) : names.data), [names.data, props.keep]);
  const sections = useMemo(() => sectionsOf(metrics ?? [], pinned, search), [metrics, pinned.join("\n"), search]);
  const shownRuns = useRef(props.runs);
  shownRuns.current = props.runs;
  const act = useMemo(() => ({ ...actions(), block: (metric: string) => copyBlock(metric, shownRuns.current) }), []);
  useShortcut("/", "Search metrics", focusSearch);
  useShortcut("l", "Logarithmic axes", act.flipLog);
  useShortcut("o", "Range without outliers", act.flipRobust);
  useShortcut("x", "Next x axis", act.nextAxis);
  useShortcut("z", "Zoom out", act.zoomOut);
  useShortcut("c", "Copy a link to this view", copyLink);

  if (names.error && !names.data) return <ErrorNote error={names.error} retry={names.refresh} />;
  return (
    <div class="charts">
      <Toolbar
        look={look}
        search={search}
        ranked={props.ranked ?? false}
        by={props.by ?? ""}
        metrics={metrics ?? []}
        copyLink={copyLink}
        tools={props.tools}
      />
      {!props.runs.length ? (
        <Empty title="No run is shown">
          <p>Switch some on in the list of runs.</p>
        </Empty>
      ) : !metrics ? (
        <Loading />
      ) : !sections.length ? (
        search ? (
          <Empty title="No metric matches">
            <p>
              None of {count(metrics.length, "metric")} matches <code>{search}</code>.
            </p>
            <button class="button" onClick={() => setQuery({ q: null })}>
              Clear the search
            </button>
          </Empty>
        ) : (
          <Empty title="No metrics yet">
            <p>These runs have logged no numbers. The first point appears here by itself.</p>
          </Empty>
        )
      ) : (
        sections.map((section) => (
          <SectionView
            key={section.name}
            section={section}
            open={isOpen(query, section.name, props.system ?? false)}
            {...props}
            look={look}
            act={act}
            pinned={pinned}
            full={query.get("full")}
          />
        ))
      )}
    </div>
  );
}

const STEP = 24;

function SectionView(
  props: ChartsProps & {
    section: Section;
    open: boolean;
    look: Look;
    act: PanelActions;
    pinned: string[];
    full: string | null;
  },
) {
  const { section } = props;
  const [limit, setLimit] = useState(STEP);
  const shown = section.metrics.slice(0, limit);
  return (
    <section class="section" aria-label={section.name}>
      <h2>
        <button aria-expanded={props.open} onClick={() => fold(section.name, props.open, props.system ?? false)}>
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
              look={props.look}
              act={props.act}
              full={props.full === metric}
              pinned={props.pinned.includes(metric)}
              strong={props.strong ?? null}
              by={props.by ?? ""}
            />
          ))}
        </div>
      )}
      {props.open && section.metrics.length > limit && (
        <button class="button plain" onClick={() => setLimit(limit + STEP * 2)}>
          Show {Math.min(STEP * 2, section.metrics.length - limit)} of {section.metrics.length - limit} more
        </button>
      )}
    </section>
  );
}

/** Names of the metrics of these runs; looked up again while one is running. */
function useMetrics(team: string, project: string, runs: readonly Run[]) {
  const ids = runs.map((run) => run.id).sort();
  const living = runs.some((run) => run.state === "RUN_STATE_RUNNING");
  return useAnswer(
    ids.length ? `metrics ${team}/${project} ${ids.join(" ")} ${living}` : null,
    async (signal) => {
      const answer = await call("ListMetrics", { team, project, runs: ids, page_size: NAMES_AT_MOST }, signal);
      return answer.metrics.map((metric) => metric.name);
    },
    living ? NAMES_EVERY_MS : 0,
    true,
  );
}

function isOpen(query: URLSearchParams, name: string, system: boolean): boolean {
  return query.getAll("fold").includes(name) === (isSystem(name) && !system);
}

function fold(name: string, open: boolean, system: boolean): void {
  const others = place.value.query.getAll("fold").filter((one) => one !== name);
  setQuery({ fold: open === (isSystem(name) && !system) ? others : [...others, name] });
}

function actions() {
  const flip = (name: string) => setQuery({ [name]: place.value.query.get(name) === "1" ? null : "1" });
  const toggled = (name: string, item: string) => {
    const items = place.value.query.getAll(name);
    setQuery({ [name]: items.includes(item) ? items.filter((one) => one !== item) : [...items, item] });
  };
  return {
    zoom: (range: readonly [number, number] | null) => setQuery({ zoom: range && range.map(short).join(":") }, false),
    pin: (metric: string) => toggled("pin", metric),
    open: (metric: string | null) => setQuery({ full: metric }, false),
    log: (metric: string) => toggled("flip", metric),
    resize: (metric: string, width: number, height: number) => {
      const others = place.value.query.getAll("size").filter((one) => !one.startsWith(`${metric}@`));
      setQuery({ size: width === 1 && height === 250 ? others : [...others, `${metric}@${width}x${height}`] });
    },
    flipLog: () => flip("log"),
    flipRobust: () => flip("robust"),
    nextAxis: () => {
      const next = { step: "time", time: "wall", wall: null, metric: null }[readLook(place.value.query).axis];
      setQuery({ x: next, xm: null, zoom: null });
    },
    zoomOut: () => setQuery({ zoom: null }),
  };
}

function short(value: number): string {
  return String(Number(value.toPrecision(13)));
}

/** Runs that were switched on or off by hand are named; else the block finds them as this view does. */
function copyBlock(metric: string, runs: readonly Run[]): void {
  const { query, parts } = place.value;
  const byHand = parts.length > 2 || ["on", "off", "run"].some((name) => query.has(name));
  void import("../report/blockSpec").then(({ blockOf }) => {
    void navigator.clipboard
      .writeText(blockOf(metric, query, byHand ? runs.map((run) => run.id) : null))
      .then(() => toast("Copied: paste it into a report"));
  });
}

function focusSearch(): void {
  document.querySelector<HTMLInputElement>("#metric-search")?.focus();
}

function copyLink(): void {
  const url = location.origin + location.pathname + toText(withChanges(place.value.query, {}));
  void navigator.clipboard.writeText(url).then(() => toast("Link copied: it shows this view"));
}
