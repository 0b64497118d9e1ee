// The columns of the table of runs. Pure.
import type { FieldInfo, JsonValue, Run } from "../api/contract";
import { flatten } from "../lib/flatten";
import { formatAgo, formatDuration, formatValue, toNumber } from "../lib/format";
import { isSystem } from "../lib/panels";

/** `field`: its name in filters and in the order. */
export interface RunColumn {
  field: string;
  title: string;
  numeric: boolean;
  width: number;
  text: (run: Run, values: RunValues) => string;
}

/** Config and summary of a run by field. */
export type RunValues = ReadonlyMap<string, JsonValue>;

const RUN_FIELDS: Record<string, [string, boolean, number, (run: Run) => string]> = {
  created_at: ["Created", true, 96, (run) => formatAgo(run.created)],
  duration: ["Duration", true, 96, (run) => formatDuration(toNumber(run.duration_s))],
  tags: ["Tags", false, 170, (run) => run.tags.join(", ")],
  user: ["User", false, 96, (run) => run.user],
  group: ["Group", false, 110, (run) => run.group],
  job_type: ["Job type", false, 96, (run) => run.job_type],
  notes: ["Notes", false, 200, (run) => run.notes],
  id: ["Id", false, 120, (run) => run.id],
  world_size: ["Ranks", true, 64, (run) => String(run.world_size)],
};

export const RUN_FIELD_NAMES = Object.keys(RUN_FIELDS);
const DEFAULT_RUN_FIELDS = ["created_at", "duration", "tags"];
const DEFAULT_COUNT = 7;

export function toRunColumn(field: string): RunColumn {
  const plain = Object.hasOwn(RUN_FIELDS, field) ? RUN_FIELDS[field] : undefined;
  if (plain) return { field, title: plain[0], numeric: plain[1], width: plain[2], text: plain[3] };
  const title = field.replace(/^(config|summary)\./, "");
  return {
    field,
    title,
    numeric: true,
    width: Math.min(Math.max(title.length * 7.2 + 30, 90), 190),
    text: (_run, values) => formatValue(values.get(field)),
  };
}

/** Return the default columns: config that most runs have and that varies, and summary that most runs have. */
export function defaultColumns(fields: readonly FieldInfo[]): string[] {
  const largest = (list: FieldInfo[]) =>
    list
      .sort((a, b) => Number(b.runs) - Number(a.runs))
      .slice(0, DEFAULT_COUNT)
      .map((item) => item.field);
  const config = fields.filter(
    (item) =>
      item.field.startsWith("config.") &&
      !(item.kinds.length === 1 && item.kinds[0] === "number" && item.min === item.max),
  );
  const summary = fields.filter(
    (item) => item.field.startsWith("summary.") && !isSystem(item.field.slice("summary.".length)),
  );
  return [...DEFAULT_RUN_FIELDS, ...largest(config), ...largest(summary)];
}

export function flattenedValues(run: Run): RunValues {
  const values = new Map<string, JsonValue>();
  for (const [section, document] of [
    ["config", run.config],
    ["summary", run.summary],
  ] as const) {
    for (const [key, value] of flatten(document)) values.set(`${section}.${key}`, value);
  }
  return values;
}

/** Add a column behind the others of its section: config with config. */
export function withColumn(chosen: readonly string[], field: string): string[] {
  const section = (name: string) => /^(config|summary)\./.exec(name)?.[1] ?? "";
  const last = chosen.findLastIndex((item) => section(item) === section(field));
  return last < 0 ? [...chosen, field] : [...chosen.slice(0, last + 1), field, ...chosen.slice(last + 1)];
}
