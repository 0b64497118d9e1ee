// Requests for curves. Queries of many panels at one time become few requests.
import { PbfReader } from "pbf";
import { ApiError, callProtobuf } from "../api/client";
import type { XAxis as ContractXAxis, GetCurvesRequest } from "../api/contract";
import { type Curve, type GroupCurve, readGetCurvesResponse, readGetGroupCurvesResponse } from "../api/wire";
import type { Range } from "../lib/range";
import type { XAxisMode } from "./lines";

/** A query for the curves of one metric. Queries that differ only in the metric are sent together. */
export interface CurveQuery {
  team: string;
  project: string;
  runs: readonly string[];
  metric: string;
  axis: XAxisMode;
  /** With the axis "metric". */
  xMetric: string;
  /** Range of the axis, inclusive. The server applies it before it forms buckets. */
  range: Range | null;
  buckets: number;
  eachRank: boolean;
}

interface PendingQuery {
  query: CurveQuery;
  signal: AbortSignal;
  resolve: (curves: Curve[]) => void;
  reject: (error: unknown) => void;
}

const GATHER_MS = 15;
/**
 * Limit of curves in a request. So the first panels are drawn while others are loading, and the few requests cost the
 * engine little.
 */
const MAX_CURVES = 400;
const MAX_METRICS = 100;
const MAX_RUNS = 100;

let pending: PendingQuery[] = [];
let isScheduled = false;

/** Load the mean curves of groups of runs. Reject with ApiError. */
export async function fetchGroupCurves(query: CurveQuery, by: string, signal: AbortSignal): Promise<GroupCurve[]> {
  const { team, project, metric, buckets, range } = query;
  const request = {
    team,
    project,
    runs: [...query.runs],
    metrics: [metric],
    group_by: [by],
    buckets,
    ...(range && rangeParameters("step", range)),
  };
  return (await callProtobuf("GetGroupCurves", request, decodeWith(readGetGroupCurvesResponse), signal)).curves;
}

/** Load the curves of a metric. Runs that do not have it are left out. Reject with ApiError. */
export function fetchCurves(query: CurveQuery, signal: AbortSignal): Promise<Curve[]> {
  return new Promise((resolve, reject) => {
    pending.push({ query, signal, resolve, reject });
    if (!isScheduled) setTimeout(sendPending, GATHER_MS);
    isScheduled = true;
  });
}

function sendPending(): void {
  isScheduled = false;
  const groups = new Map<string, PendingQuery[]>();
  for (const queued of pending) {
    if (queued.signal.aborted) continue;
    const { metric: _, ...rest } = queued.query;
    const key = JSON.stringify(rest);
    groups.set(key, [...(groups.get(key) ?? []), queued]);
  }
  pending = [];
  for (const group of groups.values()) {
    const runs = Math.max(group[0]!.query.runs.length, 1);
    const size = Math.min(Math.max(Math.floor(MAX_CURVES / runs), 1), MAX_METRICS);
    for (let offset = 0; offset < group.length; offset += size) void sendGroup(group.slice(offset, offset + size));
  }
}

async function sendGroup(group: PendingQuery[]): Promise<void> {
  const query = group[0]!.query;
  const controller = new AbortController();
  let openQueries = group.length;
  const onAbort = () => void (--openQueries === 0 && controller.abort());
  for (const queued of group) queued.signal.addEventListener("abort", onAbort, { once: true });
  const metrics = [...new Set(group.map((queued) => queued.query.metric))];
  try {
    const parts: Curve[] = [];
    for (let offset = 0; offset < query.runs.length; offset += MAX_RUNS) {
      parts.push(
        ...(await requestCurves(query, query.runs.slice(offset, offset + MAX_RUNS), metrics, controller.signal)),
      );
    }
    for (const queued of group) queued.resolve(parts.filter((curve) => curve.metric === queued.query.metric));
  } catch (error) {
    for (const queued of group) queued.reject(error);
  } finally {
    // The signal of a panel lives longer than a request.
    for (const queued of group) queued.signal.removeEventListener("abort", onAbort);
  }
}

const AXES: Record<XAxisMode, ContractXAxis> = {
  step: "X_AXIS_STEP",
  time: "X_AXIS_RELATIVE_TIME",
  wall: "X_AXIS_WALL_TIME",
  metric: "X_AXIS_METRIC",
};

/** The columns of a curve that are drawn. */
const COLUMNS = ["first_steps", "means", "mins", "maxs", "not_finite"];

function decodeWith<T>(read: (pbf: PbfReader, controller: number) => T): (body: Uint8Array) => T {
  return (body) => read(new PbfReader(body), body.length);
}

function rangeParameters(axis: XAxisMode, [low, high]: Range): Partial<GetCurvesRequest> {
  return axis === "step"
    ? { min_step: String(Math.floor(low)), max_step: String(Math.ceil(high)) }
    : { min_x: low, max_x: high };
}

async function requestCurves(
  query: CurveQuery,
  runs: readonly string[],
  metrics: string[],
  signal: AbortSignal,
): Promise<Curve[]> {
  const request: Partial<GetCurvesRequest> = {
    team: query.team,
    project: query.project,
    runs: [...runs],
    metrics,
    buckets: query.buckets,
    selection: query.eachRank ? "RANK_SELECTION_EACH" : "RANK_SELECTION_MEAN",
    x_axis: AXES[query.axis],
    columns: query.axis === "step" ? COLUMNS : [...COLUMNS, "xs"],
    ...(query.axis === "metric" ? { x_metric: query.xMetric } : {}),
    ...(query.range && rangeParameters(query.axis, query.range)),
  };
  try {
    return (await callProtobuf("GetCurves", request, decodeWith(readGetCurvesResponse), signal)).curves;
  } catch (error) {
    // None of these runs has one of these metrics.
    if (error instanceof ApiError && error.code === "NOT_FOUND") return [];
    throw error;
  }
}
