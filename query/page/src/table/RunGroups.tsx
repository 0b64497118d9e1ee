// Runs grouped by the values of a field: their number, and mean and deviation of their metrics.

import { call } from "../api/client";
import type { Json, MetricStatistics } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { count, formatNumber, formatValue, toNumber } from "../lib/format";
import { type Condition, conditionToText } from "../project/filters";
import { setQuery } from "../state/route";
import { ErrorMessage, Loading } from "../ui/feedback";

const MAX_METRICS = 20;

export function RunGroups(props: {
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
    .slice(0, MAX_METRICS);
  const request = {
    team: props.team,
    project: props.project,
    by: [props.by],
    filter: props.filter,
    search: props.search,
    metrics,
    limit: 1000,
  };
  const { data, error, refresh } = useQuery(
    `groups ${JSON.stringify(request)}`,
    (signal) => call("CountRuns", request, signal),
    5000,
  );
  if (error && !data) return <ErrorMessage error={error} retry={refresh} />;
  if (!data) return <Loading />;
  const openGroup = (value: Json[string]) => {
    const missing = value === null;
    const groupCondition: Condition = missing
      ? { field: props.by, operator: "exists", value: "no" }
      : { field: props.by, operator: "=", value: typeof value === "string" ? `"${value}"` : literal(value) };
    setQuery({ group: null, f: [...props.conditions, groupCondition].map(conditionToText) }, false);
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
                <button class="link clip" onClick={() => openGroup(group.values[0] ?? null)}>
                  {group.values[0] === null ? "none" : formatValue(group.values[0])}
                </button>
              </th>
              <td class="right numeric">{count(Number(group.runs), "run")}</td>
              {group.metrics.map((item) => (
                <td key={item.metric} class="right numeric">
                  {meanAndDeviation(item)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function literal(value: unknown): string {
  return typeof value === "number" || typeof value === "boolean" ? String(value) : JSON.stringify(value);
}

function meanAndDeviation(item: MetricStatistics): string {
  if (item.runs === "0") return item.not_finite === "0" ? "–" : `${item.not_finite} not finite`;
  const mean = formatNumber(toNumber(item.mean), 4);
  return item.runs === "1" ? mean : `${mean} ± ${formatNumber(toNumber(item.std), 2)}`;
}
