// Made by query/page/contract.py from proto/runstream/v1: do not edit.
import type { PbfReader } from "pbf";
import { doubles, joined, NONE, wholes } from "./packedColumns";

export interface Curve {
  run: string;
  metric: string;
  rank: number;
  bucket_width: number;
  first_steps: Float64Array;
  last_steps: Float64Array;
  firsts: Float64Array;
  lasts: Float64Array;
  mins: Float64Array;
  maxs: Float64Array;
  means: Float64Array;
  counts: Float64Array;
  not_finite: Float64Array;
  first_times_us: Float64Array;
  xs: Float64Array;
  smoothed: Float64Array;
  x_width: number;
}

export function readCurve(pbf: PbfReader, end: number): Curve {
  return pbf.readFields(
    fieldOfCurve,
    {
      run: "",
      metric: "",
      rank: 0,
      bucket_width: 0,
      first_steps: NONE,
      last_steps: NONE,
      firsts: NONE,
      lasts: NONE,
      mins: NONE,
      maxs: NONE,
      means: NONE,
      counts: NONE,
      not_finite: NONE,
      first_times_us: NONE,
      xs: NONE,
      smoothed: NONE,
      x_width: 0,
    },
    end,
  );
}

function fieldOfCurve(tag: number, into: Curve, pbf: PbfReader): void {
  if (tag === 1) into.run = pbf.readString();
  else if (tag === 2) into.metric = pbf.readString();
  else if (tag === 3) into.rank = pbf.readVarint();
  else if (tag === 4) into.bucket_width = pbf.readSVarint();
  else if (tag === 5) into.first_steps = joined(into.first_steps, wholes(pbf, true));
  else if (tag === 6) into.last_steps = joined(into.last_steps, wholes(pbf, true));
  else if (tag === 7) into.firsts = joined(into.firsts, doubles(pbf));
  else if (tag === 8) into.lasts = joined(into.lasts, doubles(pbf));
  else if (tag === 9) into.mins = joined(into.mins, doubles(pbf));
  else if (tag === 10) into.maxs = joined(into.maxs, doubles(pbf));
  else if (tag === 11) into.means = joined(into.means, doubles(pbf));
  else if (tag === 12) into.counts = joined(into.counts, wholes(pbf, false));
  else if (tag === 13) into.not_finite = joined(into.not_finite, wholes(pbf, false));
  else if (tag === 14) into.first_times_us = joined(into.first_times_us, wholes(pbf, true));
  else if (tag === 15) into.xs = joined(into.xs, doubles(pbf));
  else if (tag === 16) into.smoothed = joined(into.smoothed, doubles(pbf));
  else if (tag === 17) into.x_width = pbf.readDouble();
}

export interface GetCurvesResponse {
  curves: Curve[];
}

export function readGetCurvesResponse(pbf: PbfReader, end: number): GetCurvesResponse {
  return pbf.readFields(
    fieldOfGetCurvesResponse,
    {
      curves: [],
    },
    end,
  );
}

function fieldOfGetCurvesResponse(tag: number, into: GetCurvesResponse, pbf: PbfReader): void {
  if (tag === 1) into.curves.push(readCurve(pbf, pbf.readVarint() + pbf.pos));
}

export interface GroupCurve {
  group: string[];
  metric: string;
  runs: string[];
  bucket_width: number;
  steps: Float64Array;
  means: Float64Array;
  stds: Float64Array;
  mins: Float64Array;
  maxs: Float64Array;
  counts: Float64Array;
  smoothed: Float64Array;
}

export function readGroupCurve(pbf: PbfReader, end: number): GroupCurve {
  return pbf.readFields(
    fieldOfGroupCurve,
    {
      group: [],
      metric: "",
      runs: [],
      bucket_width: 0,
      steps: NONE,
      means: NONE,
      stds: NONE,
      mins: NONE,
      maxs: NONE,
      counts: NONE,
      smoothed: NONE,
    },
    end,
  );
}

function fieldOfGroupCurve(tag: number, into: GroupCurve, pbf: PbfReader): void {
  if (tag === 1) into.group.push(pbf.readString());
  else if (tag === 2) into.metric = pbf.readString();
  else if (tag === 3) into.runs.push(pbf.readString());
  else if (tag === 4) into.bucket_width = pbf.readSVarint();
  else if (tag === 5) into.steps = joined(into.steps, wholes(pbf, true));
  else if (tag === 6) into.means = joined(into.means, doubles(pbf));
  else if (tag === 7) into.stds = joined(into.stds, doubles(pbf));
  else if (tag === 8) into.mins = joined(into.mins, doubles(pbf));
  else if (tag === 9) into.maxs = joined(into.maxs, doubles(pbf));
  else if (tag === 10) into.counts = joined(into.counts, wholes(pbf, false));
  else if (tag === 11) into.smoothed = joined(into.smoothed, doubles(pbf));
}

export interface GetGroupCurvesResponse {
  curves: GroupCurve[];
}

export function readGetGroupCurvesResponse(pbf: PbfReader, end: number): GetGroupCurvesResponse {
  return pbf.readFields(
    fieldOfGetGroupCurvesResponse,
    {
      curves: [],
    },
    end,
  );
}

function fieldOfGetGroupCurvesResponse(tag: number, into: GetGroupCurvesResponse, pbf: PbfReader): void {
  if (tag === 1) into.curves.push(readGroupCurve(pbf, pbf.readVarint() + pbf.pos));
}
