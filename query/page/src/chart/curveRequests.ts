// Curves for panels: what many panels want at one time becomes few requests.
import { PbfReader } from "pbf";
import { ApiError, callWire } from "../api/client";
import type { XAxis as ContractAxis, GetCurvesRequest } from "../api/contract";
import { type Curve, type GroupCurve, readGetCurvesResponse, readGetGroupCurvesResponse } from "../api/wire";
import type { Range } from "../lib/range";
import type { XAxis } from "./lines";

/** What curves of one metric are asked for; equal wants, but for the metric, go together. */
export interface Want {
  team: string;
  project: string;
  runs: readonly string[];
  metric: string;
  axis: XAxis;
  /** With the axis "metric". */
  xMetric: string;
  /** Of the axis, inclusive; the server cuts before it makes buckets. */
  range: Range | null;
  buckets: number;
  eachRank: boolean;
}

interface Waiting {
  want: Want;
  signal: AbortSignal;
  resolve: (curves: Curve[]) => void;
  reject: (error: unknown) => void;
}

const GATHER_MS = 15;
/** Curves in one request: the first panels are drawn while the others are on their way, and few requests cost the engine little. */
const MOST_CURVES = 400;
const MOST_METRICS = 100;
const MOST_RUNS = 100;

let waiting: Waiting[] = [];
let timer: ReturnType<typeof setTimeout> | undefined;

/** Curves of groups of runs: those whose fields have the same values. Rejects with ApiError. */
export async function groupCurvesOf(want: Want, by: string, signal: AbortSignal): Promise<GroupCurve[]> {
  const { team, project, metric, buckets, range } = want;
  const request = {
    team,
    project,
    runs: [...want.runs],
    metrics: [metric],
    group_by: [by],
    buckets,
    ...(range && cut("step", range)),
  };
  return (await callWire("GetGroupCurves", request, whole(readGetGroupCurvesResponse), signal)).curves;
}

/** The metric's curves, of those runs that have it. Rejects with ApiError. */
export function curvesOf(want: Want, signal: AbortSignal): Promise<Curve[]> {
  return new Promise((resolve, reject) => {
    waiting.push({ want, signal, resolve, reject });
    timer ??= setTimeout(send, GATHER_MS);
  });
}

function send(): void {
  timer = undefined;
  const groups = new Map<string, Waiting[]>();
  for (const one of waiting) {
    if (one.signal.aborted) continue;
    const { metric: _, ...rest } = one.want;
    const key = JSON.stringify(rest);
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  waiting = [];
  for (const group of groups.values()) {
    const runs = Math.max(group[0]!.want.runs.length, 1);
    const size = Math.min(Math.max(Math.floor(MOST_CURVES / runs), 1), MOST_METRICS);
    for (let at = 0; at < group.length; at += size) void ask(group.slice(at, at + size));
  }
}

async function ask(group: Waiting[]): Promise<void> {
  const want = group[0]!.want;
  const end = new AbortController();
  let open = group.length;
  const ended = () => void (--open === 0 && end.abort());
  for (const one of group) one.signal.addEventListener("abort", ended, { once: true });
  const metrics = [...new Set(group.map((one) => one.want.metric))];
  try {
    const parts: Curve[] = [];
    for (let at = 0; at < want.runs.length; at += MOST_RUNS) {
      parts.push(...(await fetchCurves(want, want.runs.slice(at, at + MOST_RUNS), metrics, end.signal)));
    }
    for (const one of group) one.resolve(parts.filter((curve) => curve.metric === one.want.metric));
  } catch (error) {
    for (const one of group) one.reject(error);
  } finally {
    for (const one of group) one.signal.removeEventListener("abort", ended); // a panel's signal outlives many requests
  }
}

const AXES: Record<XAxis, ContractAxis> = {
  step: "X_AXIS_STEP",
  time: "X_AXIS_RELATIVE_TIME",
  wall: "X_AXIS_WALL_TIME",
  metric: "X_AXIS_METRIC",
};

/** What is drawn of a curve. */
const COLUMNS = ["first_steps", "means", "mins", "maxs", "not_finite"];

function whole<T>(read: (pbf: PbfReader, end: number) => T): (body: Uint8Array) => T {
  return (body) => read(new PbfReader(body), body.length);
}

function cut(axis: XAxis, [low, high]: Range): Partial<GetCurvesRequest> {
  return axis === "step"
    ? { min_step: String(Math.floor(low)), max_step: String(Math.ceil(high)) }
    : { min_x: low, max_x: high };
}

async function fetchCurves(
  want: Want,
  runs: readonly string[],
  metrics: string[],
  signal: AbortSignal,
): Promise<Curve[]> {
  const request: Partial<GetCurvesRequest> = {
    team: want.team,
    project: want.project,
    runs: [...runs],
    metrics,
    buckets: want.buckets,
    selection: want.eachRank ? "RANK_SELECTION_EACH" : "RANK_SELECTION_MEAN",
    x_axis: AXES[want.axis],
    columns: want.axis === "step" ? COLUMNS : [...COLUMNS, "xs"],
    ...(want.axis === "metric" ? { x_metric: want.xMetric } : {}),
    ...(want.range && cut(want.axis, want.range)),
  };
  try {
    return (await callWire("GetCurves", request, whole(readGetCurvesResponse), signal)).curves;
  } catch (error) {
    if (error instanceof ApiError && error.code === "NOT_FOUND") return []; // none of these runs has any of these metrics
    throw error;
  }
}
