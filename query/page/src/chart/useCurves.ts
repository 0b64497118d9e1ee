// The lines of one panel: fetched when it is seen, again when the range changes, and when something of it has arrived.
import { useEffect, useMemo, useState } from "preact/hooks";
import type { ApiError } from "../api/client";
import type { Run } from "../api/contract";
import type { Curve } from "../api/wire";
import { extent, type Range } from "../lib/range";
import { curvesOf } from "./curveRequests";
import { type Line, lineOf, smoothedLine, type XAxis } from "./lines";
import { follow, streaming } from "./liveUpdates";

export interface PanelQuery {
  team: string;
  project: string;
  runs: readonly Run[];
  colors: ReadonlyMap<string, string>;
  metric: string;
  axis: XAxis;
  xMetric: string;
  smoothing: number;
  /** Of the x axis. */
  zoom: Range | null;
  eachRank: boolean;
  buckets: number;
}

export interface PanelLines {
  lines: Line[];
  error: ApiError | undefined;
  waiting: boolean;
}

/** How soon after one answer the next is asked for, when something has changed. */
const PACE_MS = 1000;
/** How often is asked when nobody tells what has changed; and, to be sure, when somebody does. */
const POLL_MS = 2000;
const SURE_MS = 20_000;

export function useCurves(query: PanelQuery, seen: boolean): PanelLines {
  const { team, project, runs, metric, zoom, axis } = query;
  const ids = runs
    .map((run) => run.id)
    .sort()
    .join("\n");
  const living = runs
    .filter((run) => run.state === "RUN_STATE_RUNNING")
    .map((run) => run.id)
    .sort()
    .join("\n");
  const [drawn, setDrawn] = useState<{ axis: XAxis; curves: ReadonlyMap<string, Curve[]> }>({
    axis,
    curves: new Map(),
  });
  const [error, setError] = useState<ApiError>();
  const [waiting, setWaiting] = useState(true);
  const range = zoom ? zoom.join(":") : "";

  useEffect(() => {
    if (!seen || !ids) {
      setWaiting(Boolean(ids));
      return;
    }
    const end = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let due = false;
    let askedAt = 0;
    const want = {
      team,
      project,
      metric,
      axis,
      xMetric: query.xMetric,
      range: zoom,
      buckets: query.buckets,
      eachRank: query.eachRank,
    };
    const ask = async (wanted: string, all: boolean) => {
      try {
        const found = await curvesOf({ ...want, runs: wanted.split("\n") }, end.signal);
        if (end.signal.aborted) return;
        setDrawn((before) => ({ axis, curves: merged(all ? new Map() : before.curves, wanted.split("\n"), found) }));
        setError(undefined);
      } catch (problem) {
        if (end.signal.aborted) return;
        setError(problem as ApiError);
        setWaiting(false);
        return plan(POLL_MS * 2, () => void ask(wanted, all));
      }
      setWaiting(false);
      askedAt = performance.now();
      if (living) plan(!streaming.value ? POLL_MS : due ? PACE_MS : SURE_MS, again);
    };
    const again = () => void ask(living, false);
    const plan = (ms: number, act: () => void) => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (document.visibilityState === "hidden") return plan(POLL_MS, act);
        due = false;
        timer = undefined;
        act();
      }, ms);
    };
    const changed = () => {
      due = true;
      if (timer !== undefined) plan(Math.max(askedAt + PACE_MS - performance.now(), 0), again);
    };
    const unfollow = living ? follow({ team, project, runs: living.split("\n"), metric, changed }) : undefined;
    void ask(ids, true);
    return () => {
      end.abort();
      clearTimeout(timer);
      unfollow?.();
    };
  }, [seen, team, project, metric, ids, living, axis, query.xMetric, range, query.buckets, query.eachRank]);

  const lines = useMemo(
    () => (drawn.axis === axis ? build(query, drawn.curves) : []),
    [drawn, ids, axis, query.smoothing, query.colors],
  );
  return { lines, error, waiting };
}

function merged(
  before: ReadonlyMap<string, Curve[]>,
  asked: readonly string[],
  found: readonly Curve[],
): Map<string, Curve[]> {
  const next = new Map(before);
  for (const run of asked)
    next.set(
      run,
      found.filter((curve) => curve.run === run),
    );
  return next;
}

function build(query: PanelQuery, curves: ReadonlyMap<string, Curve[]>): Line[] {
  const lines: Line[] = [];
  for (const run of [...query.runs].reverse()) {
    const own = curves.get(run.id) ?? [];
    own.forEach((curve, place) => {
      const color =
        query.eachRank && query.runs.length === 1 ? shade(place, own.length) : (query.colors.get(run.id) ?? "#888");
      const look = {
        id: `${run.id}\n${curve.rank}`,
        label: run.name,
        color,
        ...(query.eachRank ? { note: `rank ${curve.rank}` } : {}),
      };
      lines.push(lineOf(curve, query.axis, look));
    });
  }
  const span = extent(lines.map((line) => line.xs));
  return lines.map((line) => smoothedLine(line, query.smoothing, span ? span[1] - span[0] : 1));
}

/** Ranks of one run: around the colour wheel, of one lightness. */
function shade(place: number, of: number): string {
  return `oklch(0.62 0.13 ${Math.round((place / Math.max(of, 1)) * 330 + 20)})`;
}
