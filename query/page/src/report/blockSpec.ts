// The language of live blocks: ```panel shows charts, and ```runs shows a table. Lines of `name: value` say what they
// contain. Pure.
import { type Condition, conditionFromText, OPERATORS, type Operator } from "../project/filters";

export interface BlockSpec {
  title: string;
  /** Names, or patterns with * and ?. */
  metrics: string[];
  /** Ids or names. If empty, the runs are those that `conditions`, `search` and `order` find. */
  runs: string[];
  conditions: Condition[];
  search: string;
  order: string;
  limit: number;
  group: string;
  height: number;
  /** The fields of a table. */
  columns: string[];
  /** Options of the charts, as they stand in the URL. */
  chartQuery: URLSearchParams;
}

export class BlockSpecError extends Error {}

const MAX_LINES = 100;
export const MAX_RUNS = 100;
const SETTINGS = [
  "title",
  "metrics",
  "runs",
  "filter",
  "search",
  "sort",
  "limit",
  "group",
  "columns",
  "smoothing",
  "x",
  "zoom",
  "log",
  "outliers",
  "ranks",
  "band",
  "height",
];

/** Parse a block. Throw SpecError with a sentence that names the line and says what to write. */
export function parseSpec(text: string): BlockSpec {
  const spec: BlockSpec = {
    title: "",
    metrics: [],
    runs: [],
    conditions: [],
    search: "",
    order: "",
    limit: 10,
    group: "",
    height: 260,
    columns: [],
    chartQuery: new URLSearchParams(),
  };
  const lines = text.split("\n");
  if (lines.length > MAX_LINES) throw new BlockSpecError(`a block has at most ${MAX_LINES} lines`);
  lines.forEach((line, index) => {
    if (!line.trim() || line.trim().startsWith("#")) return;
    const match = /^\s*([a-z]+)\s*:\s*(.*?)\s*$/.exec(line);
    if (!match || !SETTINGS.includes(match[1]!))
      throw new BlockSpecError(`line ${index + 1}: write one of ${SETTINGS.join(", ")}, a colon, and its value`);
    try {
      applySetting(spec, match[1]!, match[2]!);
    } catch (error) {
      throw new BlockSpecError(`line ${index + 1}: ${(error as Error).message}`);
    }
  });
  return spec;
}

function applySetting(spec: BlockSpec, name: string, value: string): void {
  switch (name) {
    case "title":
      spec.title = value;
      break;
    case "metrics":
      spec.metrics.push(...splitList(value));
      break;
    case "runs":
      spec.runs.push(...splitList(value));
      break;
    case "columns":
      spec.columns.push(...splitList(value));
      break;
    case "filter":
      spec.conditions.push(parseCondition(value));
      break;
    case "search":
      spec.search = value;
      break;
    case "sort":
      spec.order = value;
      break;
    case "group":
      spec.group = value;
      break;
    case "limit":
      spec.limit = wholeNumber(value, 1, MAX_RUNS);
      break;
    case "height":
      spec.height = wholeNumber(value, 150, 900);
      break;
    case "smoothing":
      spec.chartQuery.set("smooth", String(parseNumber(value, 0, 0.999)));
      break;
    case "zoom":
      spec.chartQuery.set("zoom", parseRange(value));
      break;
    case "x":
      if (["step", "time", "wall"].includes(value)) spec.chartQuery.set("x", value);
      else spec.chartQuery.set("xm", value);
      break;
    case "log":
      if (isYes(value)) spec.chartQuery.set("log", "1");
      break;
    case "outliers":
      if (!isYes(value)) spec.chartQuery.set("robust", "1");
      break;
    case "ranks":
      spec.chartQuery.set("ranks", parseChoice(value, ["mean", "each"]));
      break;
    case "band":
      spec.chartQuery.set("band", parseChoice(value, ["range", "std"]));
      break;
  }
}

function splitList(value: string): string[] {
  return value
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean);
}

const OPERATOR_SPELLINGS: [string, Operator][] = [
  ["one of", "one of"],
  ["contains", "contains"],
  ["matches", "matches"],
  ["exists", "exists"],
  ["!=", "≠"],
  ["<=", "≤"],
  [">=", "≥"],
  ["≠", "≠"],
  ["≤", "≤"],
  ["≥", "≥"],
  ["=", "="],
  ["<", "<"],
  [">", ">"],
];

/** Parse `config.lr > 0.1`, or a condition as it stands in a URL: `config.lr ~ > ~ 0.1`. */
function parseCondition(text: string): Condition {
  const found = conditionFromText(text);
  if (found) return found;
  const match = /^(\S+)\s+(.*)$/s.exec(text);
  for (const [words, operator] of match ? OPERATOR_SPELLINGS : []) {
    const rest = match![2]!;
    if (rest === words || rest.startsWith(`${words} `))
      return {
        field: match![1]!,
        operator,
        value: rest.slice(words.length).trim() || (operator === "exists" ? "yes" : ""),
      };
  }
  throw new Error(`a filter is a field, one of ${Object.keys(OPERATORS).join(" ")}, and a value: config.lr > 0.1`);
}

function parseNumber(value: string, low: number, high: number): number {
  const found = value === "" ? NaN : Number(value);
  if (!(found >= low && found <= high))
    throw new Error(`expected a number from ${low} to ${high}, not ${value || "nothing"}`);
  return found;
}

function wholeNumber(value: string, low: number, high: number): number {
  return Math.round(parseNumber(value, low, high));
}

function parseRange(value: string): string {
  const parts = value.split(":").map((part) => (part.trim() === "" ? NaN : Number(part)));
  if (parts.length !== 2 || !parts.every(Number.isFinite) || parts[0]! >= parts[1]!)
    throw new Error("a range consists of two numbers, for example 100:2000");
  return parts.join(":");
}

function isYes(value: string): boolean {
  return parseChoice(value, ["yes", "no"]) === "yes";
}

function parseChoice(value: string, choices: string[]): string {
  if (!choices.includes(value)) throw new Error(`expected one of ${choices.join(", ")}, not ${value || "nothing"}`);
  return value;
}

/**
 * Return the block that shows what a panel of the charts shows. `shown`: ids of the runs if the user has selected
 * them.
 */
export function panelBlock(metric: string, query: URLSearchParams, shown: readonly string[] | null): string {
  const lines = [`metrics: ${metric}`];
  const add = (name: string, value: string | null) => value && lines.push(`${name}: ${value}`);
  if (shown?.length) add("runs", shown.join(", "));
  else {
    for (const text of query.getAll("f")) add("filter", text);
    add("search", query.get("find"));
    add("sort", query.get("sort"));
  }
  add("group", query.get("group"));
  add("smoothing", query.get("smooth"));
  add("x", query.get("xm") ?? query.get("x"));
  add("zoom", query.get("zoom"));
  if ((query.get("log") === "1") !== query.getAll("flip").includes(metric)) add("log", "yes");
  if (query.get("robust") === "1") add("outliers", "no");
  add("ranks", query.get("ranks"));
  add("band", query.get("band"));
  return ["```panel", ...lines, "```", ""].join("\n");
}

/** Return whether a name is a pattern. */
export function isPattern(name: string): boolean {
  return /[*?]/.test(name);
}
