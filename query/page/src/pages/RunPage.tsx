// One run: its head, and a view in each tab.
import type { ComponentType } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { type ApiError, call } from "../api/client";
import type { Key, KeyKind, Run } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { RunDialog } from "../edit/EditDialogs";
import { formatDuration, formatTime, ranksSeen, toNumber } from "../lib/format";
import { isSystem } from "../lib/panels";
import { deleteRuns } from "../project/deletion";
import type { ProjectProps } from "../project/ProjectFrame";
import { Overview } from "../run/Overview";
import type { RunProps, RunTabProps } from "../run/tabProps";
import { editProps } from "../state/permissions";
import { path } from "../state/route";
import { CopyButton } from "../ui/CopyButton";
import { EmptyState, ErrorMessage, Loading } from "../ui/feedback";
import { Icon } from "../ui/Icon";
import { Menu, MenuItem } from "../ui/Menu";
import { RunStateBadge } from "../ui/RunStateBadge";
import { ChartSections } from "../workspace/ChartSections";
import "../styles/run.css";

const LIVE_MS = 2000;

interface Tab {
  title: string;
  /** Whether the tab has something to show, or may have it later. */
  shown: (run: Run, kinds: ReadonlySet<KeyKind>) => boolean;
  load?: () => Promise<{ default: ComponentType<RunTabProps> }>;
}

const isAlwaysShown = () => true;
const hasKeyKind =
  (...wanted: KeyKind[]) =>
  (_run: Run, kinds: ReadonlySet<KeyKind>) =>
    wanted.some((item) => kinds.has(item));
const TABS: Record<string, Tab> = {
  "": { title: "Charts", shown: isAlwaysShown },
  overview: { title: "Overview", shown: isAlwaysShown },
  console: { title: "Console", shown: isAlwaysShown, load: () => import("../run/Console") },
  system: { title: "System", shown: isAlwaysShown },
  ranks: { title: "Ranks", shown: (run) => run.world_size > 1, load: () => import("../run/Ranks") },
  media: { title: "Media", shown: hasKeyKind("KEY_KIND_MEDIA"), load: () => import("../run/Media") },
  distributions: {
    title: "Distributions",
    shown: hasKeyKind("KEY_KIND_HISTOGRAM"),
    load: () => import("../run/Histograms"),
  },
  tables: {
    title: "Tables",
    shown: hasKeyKind("KEY_KIND_TABLE", "KEY_KIND_PLOT"),
    load: () => import("../run/Tables"),
  },
  texts: { title: "Texts", shown: hasKeyKind("KEY_KIND_TEXT"), load: () => import("../run/Texts") },
  alerts: { title: "Alerts", shown: isAlwaysShown, load: () => import("../run/Alerts") },
  files: { title: "Files", shown: isAlwaysShown, load: () => import("../run/Files") },
};

export default function RunPage({ team, project, rest }: ProjectProps) {
  const [id = "", tab = ""] = rest;
  const [live, setLive] = useState(true);
  const {
    data: run,
    error,
    refresh,
  } = useQuery(
    `run ${team}/${project}/${id}`,
    (signal) => call("GetRun", { team, project, run: id }, signal),
    live ? LIVE_MS : 0,
    true,
  );
  const keys = useQuery(
    `keys ${team}/${project}/${id}`,
    (signal) => call("ListKeys", { team, project, run: id, page_size: 10_000 }, signal),
    live ? LIVE_MS * 3 : 0,
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: the title and the refreshing depend on nothing else
  useEffect(() => {
    document.title = `${run?.name ?? id} · ${project} · runstream`;
    if (run) setLive(run.state === "RUN_STATE_RUNNING");
  }, [run?.name, run?.state, id]);
  if (error && (!run || error.code === "NOT_FOUND"))
    return <RunNotFound error={error} team={team} project={project} retry={refresh} />;
  if (!run || run.id !== id) return <Loading />;
  const tabName = Object.hasOwn(TABS, tab) ? tab : "";
  const kinds = new Set(keys.data?.keys.map((key) => key.kind));
  return (
    <div class="run">
      <RunHeader run={run} changed={refresh} />
      <RunTabs run={run} kinds={kinds} current={tabName} />
      {tabName === "" ? (
        <RunCharts run={run} />
      ) : tabName === "overview" ? (
        <Overview run={run} />
      ) : tabName === "system" ? (
        <SystemCharts run={run} />
      ) : (
        <LazyTab key={tabName} load={TABS[tabName]!.load!} run={run} keys={keys.data?.keys} />
      )}
    </div>
  );
}

function RunTabs({ run, kinds, current }: RunProps & { kinds: ReadonlySet<KeyKind>; current: string }) {
  const nav = useRef<HTMLElement>(null);
  useEffect(() => {
    // On a phone the row of tabs is wider than the screen.
    const currentLink = nav.current!.querySelector<HTMLElement>("[aria-current]");
    if (currentLink)
      nav.current!.scrollLeft = currentLink.offsetLeft - (nav.current!.clientWidth - currentLink.offsetWidth) / 2;
  }, [current]);
  return (
    <nav class="tabs" aria-label="Views of the run" ref={nav}>
      {Object.entries(TABS)
        .filter(([name, item]) => name === current || item.shown(run, kinds))
        .map(([name, { title }]) => (
          <a
            key={name}
            href={path(run.team, run.project, "runs", run.id, ...(name ? [name] : []))}
            aria-current={name === current ? "page" : undefined}
          >
            {title}
          </a>
        ))}
    </nav>
  );
}

function LazyTab(props: { load: NonNullable<Tab["load"]>; run: Run; keys: readonly Key[] | undefined }) {
  const [view, setView] = useState<{ component: ComponentType<RunTabProps> }>();
  useEffect(() => {
    void props.load().then((module) => setView({ component: module.default }));
  }, [props.load]);
  if (!view || !props.keys) return <Loading />;
  return <view.component run={props.run} keys={props.keys} />;
}

function RunNotFound({
  error,
  team,
  project,
  retry,
}: {
  error: ApiError;
  team: string;
  project: string;
  retry: () => void;
}) {
  if (error.code !== "NOT_FOUND") return <ErrorMessage error={error} retry={retry} />;
  return (
    <EmptyState title="Run not found">
      <p>{error.message}. It may have been deleted.</p>
      <p class="row">
        <a class="button" href={path(team, project)}>
          Go to the project's runs
        </a>
      </p>
    </EmptyState>
  );
}

function RunHeader({ run, changed }: { run: Run; changed: () => void }) {
  const [editing, setEditing] = useState(false);
  const ranks = ranksSeen(run.world_size, run.streams ?? []);
  return (
    <header class="run-head">
      <h1 class="clip" title={run.name}>
        {run.name}
      </h1>
      <RunStateBadge state={run.state} />
      <span class="quiet numeric">{formatDuration(toNumber(run.duration_s))}</span>
      {ranks && (
        <span
          class={ranks.includes(" of ") ? "warn-text" : "quiet"}
          title={ranks.includes(" of ") ? "The server has received nothing from the other ranks yet" : undefined}
        >
          {ranks}
        </span>
      )}
      <span class="quiet wide-only">
        {run.user}, {formatTime(run.created)}
      </span>
      <span class="tags wide-only">
        {run.tags.map((tag) => (
          <span class="tag" key={tag}>
            {tag}
          </span>
        ))}
      </span>
      <span class="grow" />
      <span class="quiet id wide-only">{run.id}</span>
      <CopyButton text={`${run.team}/${run.project}/${run.id}`} label="Copy the run's path" />
      <button
        class="icon-button"
        onClick={() => setEditing(true)}
        aria-label="Edit name, notes, tags"
        title="Edit name, notes, tags"
        {...editProps(run.team)}
      >
        <Icon name="edit" />
      </button>
      <Menu label="More about this run" button={<Icon name="more" />}>
        <MenuItem
          danger
          {...editProps(run.team)}
          onSelect={() => deleteRuns(run.team, run.project, [run], path(run.team, run.project))}
        >
          Delete this run
        </MenuItem>
      </Menu>
      {editing && <RunDialog run={run} changed={changed} close={() => setEditing(false)} />}
    </header>
  );
}

function RunCharts({ run }: RunProps) {
  return <RunChartSections run={run} metricFilter={notSystem} />;
}

function SystemCharts({ run }: RunProps) {
  return <RunChartSections run={run} metricFilter={isSystem} system />;
}

const notSystem = (metric: string) => !isSystem(metric);
const RUN_COLOR = "#2f74d0";

function RunChartSections(props: { run: Run; metricFilter: (metric: string) => boolean; system?: boolean }) {
  const { run } = props;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the charts depend on nothing else of the run
  const runs = useMemo(() => [run], [run.id, run.state, run.name]);
  const colors = useMemo(() => new Map([[run.id, RUN_COLOR]]), [run.id]);
  return (
    <ChartSections
      team={run.team}
      project={run.project}
      runs={runs}
      colors={colors}
      metricFilter={props.metricFilter}
      ranked={run.world_size > 1}
      system={props.system ?? false}
    />
  );
}
