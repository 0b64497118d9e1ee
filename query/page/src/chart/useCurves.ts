// The lines of one panel: fetched when it is seen, again when the range changes, and every 2 s for runs that go on.
import { useEffect, useMemo, useState } from "preact/hooks";
import type { ApiError } from "../api/client";
import { awaySince } from "../api/client";
import type { Curve, Run } from "../api/contract";
import { extent, type Range } from "../lib/range";
import { curvesOf } from "./curves";
import { type Line, lineOf, smoothedLine, type XAxis } from "./series";

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

const LIVE_MS = 2000;

export function useCurves(query: PanelQuery, seen: boolean): PanelLines {
  const { team, project, runs, metric, zoom, axis } = query;
  const ids = runs.map((run) => run.id).sort().join("\n");
  const living = runs.filter((run) => run.state === "RUN_STATE_RUNNING").map((run) => run.id).sort().join("\n");
  const [drawn, setDrawn] = useState<{ axis: XAxis; curves: ReadonlyMap<string, Curve[]> }>({ axis, curves: new Map() });
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
    const want = { team, project, metric, axis, xMetric: query.xMetric, range: zoom, buckets: query.buckets, eachRank: query.eachRank };
    const ask = async (wanted: string, all: boolean) => {
      try {
        const found = await curvesOf({ ...want, runs: wanted.split("\n") }, end.signal);
        if (end.signal.aborted) return;
        setDrawn((before) => ({ axis, curves: merged(all ? new Map() : before.curves, wanted.split("\n"), found) }));
        setError(undefined);
      } catch (problem) {
        if (end.signal.aborted) return;
        setError(problem as ApiError);
        all = true;
      }
      setWaiting(false);
      if (living && !end.signal.aborted) timer = setTimeout(() => void again(), awaySince.value ? LIVE_MS * 2 : LIVE_MS);
    };
    const again = () => {
      if (document.visibilityState === "hidden") timer = setTimeout(again, LIVE_MS);
      else void ask(living, false);
    };
    void ask(ids, true);
    return () => {
      end.abort();
      clearTimeout(timer);
    };
  }, [seen, team, project, metric, ids, living, axis, query.xMetric, range, query.buckets, query.eachRank]);

  const lines = useMemo(() => (drawn.axis === axis ? build(query, drawn.curves) : []), [drawn, ids, axis, query.smoothing, query.colors]);
  return { lines, error, waiting };
}

function merged(before: ReadonlyMap<string, Curve[]>, asked: readonly string[], found: readonly Curve[]): Map<string, Curve[]> {
  const next = new Map(before);
  for (const run of asked) next.set(run, found.filter((curve) => curve.run === run));
  return next;
}

function build(query: PanelQuery, curves: ReadonlyMap<string, Curve[]>): Line[] {
  const lines: Line[] = [];
  for (const run of [...query.runs].reverse()) {
    const own = curves.get(run.id) ?? [];
    own.forEach((curve, place) => {
      const color = query.eachRank && query.runs.length === 1 ? shade(place, own.length) : (query.colors.get(run.id) ?? "#888");
      const look = { id: `${run.id}\n${curve.rank}`, label: run.name, color, ...(query.eachRank ? { note: `rank ${curve.rank}` } : {}) };
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
