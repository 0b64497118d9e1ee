// The options of the charts of a view, read from the URL's query.

import type { Range } from "../lib/range";
import { readChoice, readNumber, readRange } from "../lib/urlQuery";
import type { XAxisMode } from "./lines";

export interface ChartOptions {
  axis: XAxisMode;
  /** With the axis "metric". */
  xMetric: string;
  smoothing: number;
  log: boolean;
  /** Metrics whose axis is the opposite of `log`. */
  flipped: ReadonlySet<string>;
  robust: boolean;
  zoom: Range | null;
  eachRank: boolean;
  /** Band of grouped runs. */
  band: "range" | "std";
  /** Width in columns, height in pixels. */
  sizes: ReadonlyMap<string, [number, number]>;
}

export function readChartOptions(query: URLSearchParams): ChartOptions {
  const sizes = new Map<string, [number, number]>();
  for (const text of query.getAll("size")) {
    const match = /^(.*)@([1-4])x(\d{3})$/s.exec(text);
    if (match) sizes.set(match[1]!, [Number(match[2]), Math.min(Math.max(Number(match[3]), 150), 900)]);
  }
  return {
    axis: query.get("xm") ? "metric" : readChoice(query.get("x"), ["step", "time", "wall"]),
    xMetric: query.get("xm") ?? "",
    smoothing: readNumber(query.get("smooth"), 0, 0, 0.999),
    log: query.get("log") === "1",
    flipped: new Set(query.getAll("flip")),
    robust: query.get("robust") === "1",
    zoom: readRange(query.get("zoom")),
    eachRank: query.get("ranks") === "each",
    band: readChoice(query.get("band"), ["range", "std"]),
    sizes,
  };
}
