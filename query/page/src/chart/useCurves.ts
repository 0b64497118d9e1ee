// A hook for the lines of one panel. It loads them when the panel is visible, when the range changes, and when new data
// have arrived.
import { useEffect, useMemo, useState } from "preact/hooks";
import type { ApiError } from "../api/client";
import type { Run } from "../api/contract";
import type { Curve } from "../api/wire";
import { extent, type Range } from "../lib/range";
import { type CurveQuery, fetchCurves } from "./curveRequests";
import { type Line, smoothedLine, toLine, type XAxisMode } from "./lines";
import { isStreaming, subscribe } from "./liveUpdates";

export interface PanelQuery {
  team: string;
  project: string;
  runs: readonly Run[];
  colors: ReadonlyMap<string, string>;
  metric: string;
  axis: XAxisMode;
  xMetric: string;
  smoothing: number;
  /** Range of the x axis. */
  zoom: Range | null;
  eachRank: boolean;
  buckets: number;
}

export interface PanelLines {
  lines: Line[];
  error: ApiError | undefined;
  waiting: boolean;
}

/** Least time from an answer to the next request after a change. */
const PACE_MS = 1000;
/** Time between requests without live updates, and with them, to be safe. */
const POLL_MS = 2000;
const SURE_MS = 20_000;

export function useCurves(query: PanelQuery, seen: boolean): PanelLines {
  const { team, project, runs, metric, zoom, axis } = query;
  const ids = sortedIds(runs);
  const runningIds = sortedIds(runs.filter((run) => run.state === "RUN_STATE_RUNNING"));
  const [drawn, setDrawn] = useState<{ axis: XAxisMode; curves: ReadonlyMap<string, Curve[]> }>({
    axis,
    curves: new Map(),
  });
  const [error, setError] = useState<ApiError>();
  const [waiting, setWaiting] = useState(true);
  const range = zoom ? zoom.join(":") : "";

  // biome-ignore lint/correctness/useExhaustiveDependencies: `range` is `zoom` as a text
  useEffect(() => {
    if (!seen || !ids) {
      setWaiting(Boolean(ids));
      return;
    }
    const { xMetric, buckets, eachRank } = query;
    return followCurves({
      curveQuery: { team, project, metric, axis, xMetric, range: zoom, buckets, eachRank },
      ids,
      runningIds,
      onCurves: (found, requested, all) => {
        setDrawn((before) => ({ axis, curves: withCurves(all ? new Map() : before.curves, requested, found) }));
        setError(undefined);
        setWaiting(false);
      },
      onError: (failure) => {
        setError(failure);
        setWaiting(false);
      },
    });
  }, [seen, team, project, metric, ids, runningIds, axis, query.xMetric, range, query.buckets, query.eachRank]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: these are the parts of the query that the lines depend on
  const lines = useMemo(
    () => (drawn.axis === axis ? buildLines(query, drawn.curves) : []),
    [drawn, ids, axis, query.smoothing, query.colors],
  );
  return { lines, error, waiting };
}

/** Return ids as a text, separated by line ends, because a text can be a hook's dependency. */
function sortedIds(runs: readonly Run[]): string {
  return runs
    .map((run) => run.id)
    .sort()
    .join("\n");
}

interface Followed {
  curveQuery: Omit<CurveQuery, "runs">;
  /** Ids of all runs, and of running runs; see `sortedIds`. */
  ids: string;
  runningIds: string;
  /** `all`: the curves replace all that were known. */
  onCurves: (found: Curve[], requested: readonly string[], all: boolean) => void;
  onError: (error: ApiError) => void;
}

/** Load the curves of all runs once, then those of running runs again and again. Return a function that ends it. */
function followCurves({ curveQuery, ids, runningIds, onCurves, onError }: Followed): () => void {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let hasChanged = false;
  let answeredAt = 0;
  const load = async (runIds: string, all: boolean) => {
    const requested = runIds.split("\n");
    try {
      const found = await fetchCurves({ ...curveQuery, runs: requested }, controller.signal);
      if (controller.signal.aborted) return;
      onCurves(found, requested, all);
    } catch (failure) {
      if (controller.signal.aborted) return;
      onError(failure as ApiError);
      schedule(POLL_MS * 2, () => void load(runIds, all));
      return;
    }
    answeredAt = performance.now();
    if (runningIds) schedule(!isStreaming.value ? POLL_MS : hasChanged ? PACE_MS : SURE_MS, loadRunning);
  };
  const loadRunning = () => void load(runningIds, false);
  const schedule = (ms: number, action: () => void) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (document.visibilityState === "hidden") return schedule(POLL_MS, action);
      hasChanged = false;
      timer = undefined;
      action();
    }, ms);
  };
  const onChange = () => {
    hasChanged = true;
    if (timer !== undefined) schedule(Math.max(answeredAt + PACE_MS - performance.now(), 0), loadRunning);
  };
  const { team, project, metric } = curveQuery;
  const unsubscribe = runningIds
    ? subscribe({ team, project, runs: runningIds.split("\n"), metric, onChange })
    : undefined;
  void load(ids, true);
  return () => {
    controller.abort();
    clearTimeout(timer);
    unsubscribe?.();
  };
}

function withCurves(
  before: ReadonlyMap<string, Curve[]>,
  requested: readonly string[],
  found: readonly Curve[],
): Map<string, Curve[]> {
  const next = new Map(before);
  for (const run of requested)
    next.set(
      run,
      found.filter((curve) => curve.run === run),
    );
  return next;
}

function buildLines(query: PanelQuery, curves: ReadonlyMap<string, Curve[]>): Line[] {
  const lines: Line[] = [];
  for (const run of [...query.runs].reverse()) {
    const ownCurves = curves.get(run.id) ?? [];
    ownCurves.forEach((curve, rankIndex) => {
      const color =
        query.eachRank && query.runs.length === 1
          ? rankColor(rankIndex, ownCurves.length)
          : (query.colors.get(run.id) ?? "#888");
      const style = {
        id: `${run.id}\n${curve.rank}`,
        label: run.name,
        color,
        ...(query.eachRank ? { note: `rank ${curve.rank}` } : {}),
      };
      lines.push(toLine(curve, query.axis, style));
    });
  }
  const span = extent(lines.map((line) => line.xs));
  return lines.map((line) => smoothedLine(line, query.smoothing, span ? span[1] - span[0] : 1));
}

/** Return the colour of a rank: ranks go around the colour wheel at one lightness. */
function rankColor(rankIndex: number, rankCount: number): string {
  return `oklch(0.62 0.13 ${Math.round((rankIndex / Math.max(rankCount, 1)) * 330 + 20)})`;
}
