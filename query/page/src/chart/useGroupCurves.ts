// A hook for the lines of one panel if runs are grouped: a mean and a band for each group.
import { useMemo } from "preact/hooks";
import { ApiError } from "../api/client";
import { useQuery } from "../api/useQuery";
import { assignColors } from "../lib/colors";
import { count } from "../lib/format";
import { extent } from "../lib/range";
import { fetchGroupCurves } from "./curveRequests";
import { type Line, smoothedLine, toGroupLine } from "./lines";
import type { PanelLines, PanelQuery } from "./useCurves";

const LIVE_MS = 3000;

/** `seen`: whether to load at all. The x axis of groups is always the step, because their curves share buckets. */
export function useGroupCurves(query: PanelQuery, by: string, band: "range" | "std", seen: boolean): PanelLines {
  const runs = query.runs.map((run) => run.id).sort();
  const living = query.runs.some((run) => run.state === "RUN_STATE_RUNNING");
  const want = { ...query, runs, range: query.axis === "step" ? query.zoom : null };
  const key = JSON.stringify([want.team, want.project, runs, want.metric, want.range, want.buckets, by]);
  const { data, error, waiting } = useQuery(
    seen && by && runs.length ? key : null,
    (signal) => fetchGroupCurves(want, by, signal),
    living ? LIVE_MS : 0,
    true,
  );
  const lines = useMemo(() => build(data ?? [], band, query.smoothing), [data, band, query.smoothing]);
  const missing = error instanceof ApiError && error.code === "NOT_FOUND";
  return { lines, error: missing ? undefined : error, waiting: waiting && !missing };
}

function build(curves: readonly Parameters<typeof toGroupLine>[0][], band: "range" | "std", smoothing: number): Line[] {
  const labels = curves.map((curve) => curve.group.map(named).join(", "));
  const colors = assignColors(labels);
  const lines = curves.map((curve, index) => {
    const label = labels[index]!;
    return toGroupLine(curve, band, {
      id: label,
      label,
      color: colors.get(label)!,
      note: count(curve.runs.length, "run"),
    });
  });
  const span = extent(lines.map((line) => line.xs));
  return lines.map((line) => smoothedLine(line, smoothing, span ? span[1] - span[0] : 1));
}

function named(json: string): string {
  if (!json) return "none";
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "string" ? value : json;
  } catch {
    return json;
  }
}
