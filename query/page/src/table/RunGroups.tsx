// Runs by the values of a field: how many, and their metrics' mean and spread.

import { call } from "../api/client";
import type { Json, MetricStatistics } from "../api/contract";
import { useAnswer } from "../api/useQuery";
import { count, formatNumber, formatValue, number } from "../lib/format";
import { type Condition, toText } from "../project/filters";
import { setQuery } from "../state/route";
import { ErrorNote, Loading } from "../ui/feedback";

const MOST_METRICS = 20;

export function Groups(props: {
  team: string;
  project: string;
  by: string;
  filter: string;
  search: string;
  columns: readonly string[];
  conditions: readonly Condition[];
}) {
  const metrics = props.columns
    .filter((field) => field.startsWith("summary."))
    .map((field) => field.slice("summary.".length))
    .slice(0, MOST_METRICS);
  const request = {
    team: props.team,
    project: props.project,
    by: [props.by],
    filter: props.filter,
    search: props.search,
    metrics,
    limit: 1000,
  };
  const { data, error, refresh } = useAnswer(
    `groups ${JSON.stringify(request)}`,
    (signal) => call("CountRuns", request, signal),
    5000,
  );
  if (error && !data) return <ErrorNote error={error} retry={refresh} />;
  if (!data) return <Loading />;
  const open = (value: Json[string]) => {
    const missing = value === null;
    const own: Condition = missing
      ? { field: props.by, operator: "exists", value: "no" }
      : { field: props.by, operator: "=", value: typeof value === "string" ? `"${value}"` : formatPlain(value) };
    setQuery({ group: null, f: [...props.conditions, own].map(toText) }, false);
  };
  return (
    <div class="grid-area" tabIndex={0} role="region" aria-label={`Runs by ${props.by}`}>
      <table class="runs-table groups">
        <thead>
          <tr>
            <th scope="col" class="first">
              {props.by}
            </th>
            <th scope="col" class="right">
              Runs
            </th>
            {metrics.map((metric) => (
              <th key={metric} scope="col" class="right">
                {metric}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {data.groups.map((group) => (
            <tr key={JSON.stringify(group.values)}>
              <th scope="row" class="first">
                <button class="link clip" onClick={() => open(group.values[0] ?? null)}>
                  {group.values[0] === null ? "none" : formatValue(group.values[0])}
                </button>
              </th>
              <td class="right numeric">{count(Number(group.runs), "run")}</td>
              {group.metrics.map((one) => (
                <td key={one.metric} class="right numeric">
                  {spread(one)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function formatPlain(value: unknown): string {
  return typeof value === "number" || typeof value === "boolean" ? String(value) : JSON.stringify(value);
}

function spread(one: MetricStatistics): string {
  if (one.runs === "0") return one.not_finite === "0" ? "–" : `${one.not_finite} not finite`;
  const mean = formatNumber(number(one.mean), 4);
  return one.runs === "1" ? mean : `${mean} ± ${formatNumber(number(one.std), 2)}`;
}
