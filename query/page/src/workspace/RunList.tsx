// The list of runs beside the charts: search, colours, and which runs are shown.
import { useEffect, useRef, useState } from "preact/hooks";
import type { Run } from "../api/contract";
import { count, formatAgo } from "../lib/format";
import { ColorMenu } from "../project/ColorMenu";
import { setRunShown } from "../project/runSelection";
import { path, route, setQuery } from "../state/route";
import { Icon } from "../ui/Icon";
import { RunStateBadge } from "../ui/RunStateBadge";

/** Rows that are rendered at once: more than fit on a screen. */
const ROWS_PER_STEP = 60;

export function RunList(props: {
  runs: readonly Run[];
  total: number;
  shown: readonly Run[];
  colors: ReadonlyMap<string, string>;
  hover: (run: string | null) => void;
  close: () => void;
}) {
  const search = route.value.query.get("find") ?? "";
  const filterCount = route.value.query.getAll("f").length;
  const [rowCount, setRowCount] = useState(ROWS_PER_STEP);
  const end = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const observer = new IntersectionObserver(
      (entries) => entries.at(-1)!.isIntersecting && setRowCount((n) => n + ROWS_PER_STEP),
      { rootMargin: "300px" },
    );
    observer.observe(end.current!);
    return () => observer.disconnect();
  }, [rowCount < props.runs.length]);
  const shown = new Set(props.shown.map((run) => run.id));
  return (
    <aside class="run-list" aria-label="Runs">
      <header>
        <div class="field">
          <Icon name="search" size={14} />
          <input
            type="search"
            placeholder="Search runs"
            aria-label="Search runs"
            value={search}
            onInput={(event) => setQuery({ find: event.currentTarget.value })}
          />
        </div>
        <button class="icon-button narrow-only" onClick={props.close} aria-label="Close the list">
          <Icon name="close" />
        </button>
      </header>
      <p class="quiet list-note">
        {count(props.total, "run")}, {props.shown.length} shown
        {filterCount > 0 && <a href={tableUrl()}>{count(filterCount, "filter")}</a>}
        {route.value.query.has("run") && (
          <button class="link" onClick={() => setQuery({ run: null })}>
            show the first runs
          </button>
        )}
        {(route.value.query.has("on") || route.value.query.has("off")) && (
          <button class="link" onClick={() => setQuery({ on: null, off: null })}>
            reset
          </button>
        )}
      </p>
      <ul>
        {props.runs.slice(0, rowCount).map((run, index) => (
          <li
            key={run.id}
            class={shown.has(run.id) ? "" : "off"}
            onPointerEnter={() => props.hover(run.id)}
            onPointerLeave={() => props.hover(null)}
          >
            <button
              class="icon-button small"
              role="switch"
              aria-checked={shown.has(run.id)}
              aria-label={`Show ${run.name}`}
              onClick={() => setRunShown(run.id, !shown.has(run.id), index)}
            >
              <Icon name={shown.has(run.id) ? "eye" : "closed"} size={14} />
            </button>
            <ColorMenu run={run} color={props.colors.get(run.id)} />
            <a class="clip" href={path(run.team, run.project, "runs", run.id)} title={run.name}>
              {run.name}
            </a>
            <RunStateBadge state={run.state} bare />
            <span class="quiet numeric when">{formatAgo(run.created)}</span>
          </li>
        ))}
      </ul>
      <div ref={end} />
      {props.total > props.runs.length && (
        <p class="quiet list-note">
          Only the first {props.runs.length} runs are listed. Search or filter to find others.
        </p>
      )}
    </aside>
  );
}

function tableUrl(): string {
  const [team = "", project = ""] = route.value.parts;
  return path(team, project, "table") + location.search;
}
