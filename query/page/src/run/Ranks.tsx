// The ranks of a run: a heat map of one metric over ranks and steps, the first NaN, and the slowest ranks.
import { useMemo } from "preact/hooks";
import { call } from "../api/client";
import type { GetRankMapResponse } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { type Cell, HeatMap, HeatScale } from "../chart/HeatMap";
import { formatDuration, formatNumber, toNumber } from "../lib/format";
import { isSystem } from "../lib/panels";
import { extent } from "../lib/range";
import { path, route, setQuery } from "../state/route";
import { Card } from "../ui/Card";
import { ErrorMessage, Loading } from "../ui/feedback";
import { NameInput } from "../ui/NameInput";
import type { RunProps } from "./tabProps";
import "../styles/rich.css";
import "../styles/charts.css";

const LIVE_MS = 4000;

export default function Ranks({ run }: RunProps) {
  const runKey = { team: run.team, project: run.project, run: run.id };
  const live = run.state === "RUN_STATE_RUNNING" ? LIVE_MS : 0;
  const names = useQuery(
    `rank metrics ${JSON.stringify(runKey)}`,
    (signal) => call("ListMetrics", { ...runKey, page_size: 10_000 }, signal),
    0,
  );
  const metrics =
    names.data?.metrics.filter((metric) => metric.ranks > 1 && !isSystem(metric.name)).map((metric) => metric.name) ??
    [];
  const metric = route.value.query.get("metric") ?? metrics.find((name) => /loss/.test(name)) ?? metrics[0] ?? "";
  if (names.error) return <ErrorMessage error={names.error} retry={names.refresh} />;
  if (!names.data) return <Loading />;
  return (
    <div class="rich">
      <Card
        title="Ranks over steps"
        tools={<NameInput label="Metric" value={metric} names={metrics} set={(name) => setQuery({ metric: name })} />}
      >
        {metric ? (
          <RankMap runKey={runKey} metric={metric} live={live} />
        ) : (
          <p class="quiet">No metric was logged by more than one rank.</p>
        )}
      </Card>
      <div class="wide-grid">
        <FirstNonFinite runKey={runKey} live={live} />
        <Stragglers runKey={runKey} live={live} />
      </div>
    </div>
  );
}

interface RunKey {
  team: string;
  project: string;
  run: string;
}

function RankMap({ runKey, metric, live }: { runKey: RunKey; metric: string; live: number }) {
  const { data, error, refresh } = useQuery(
    `rank map ${JSON.stringify(runKey)} ${metric}`,
    (signal) => call("GetRankMap", { ...runKey, metric }, signal),
    live,
    true,
  );
  const drawn = useMemo(() => data && cellsOf(data), [data]);
  if (error && !data) return <ErrorMessage error={error} retry={refresh} />;
  if (!data || !drawn) return <Loading small />;
  return (
    <>
      <HeatMap
        cells={drawn.cells}
        x={drawn.x}
        y={[0, data.ranks.length]}
        label={`${metric} of each rank over steps`}
        height={Math.min(Math.max(data.ranks.length * 22 + 30, 120), 520)}
        rows={data.ranks.map((rank) => `rank ${rank}`)}
      />
      <p class="quiet numeric">
        <HeatScale low={formatNumber(drawn.low)} high={formatNumber(drawn.high)} />
        {drawn.wrong > 0 && `; ${drawn.wrong} cells with NaN or infinity, in red`}
      </p>
    </>
  );
}

function cellsOf(map: GetRankMapResponse): {
  cells: Cell[];
  x: [number, number];
  low: number;
  high: number;
  wrong: number;
} {
  const width = map.steps.length;
  const values = map.means.map(toNumber);
  const [low, high] = extent([values]) ?? [0, 1];
  const steps = map.steps.map(Number);
  const step = Number(map.bucket_width) || 1;
  let wrong = 0;
  const cells: Cell[] = [];
  map.ranks.forEach((rank, row) => {
    for (let index = 0; index < width; index++) {
      const value = values[row * width + index]!;
      const bad = map.not_finite[row * width + index]! > 0;
      if (!bad && Number.isNaN(value)) continue;
      if (bad) wrong++;
      cells.push({
        x0: steps[index]!,
        x1: steps[index + 1] ?? steps[index]! + step,
        y0: row,
        y1: row + 1,
        heat: bad ? NaN : high > low ? 0.06 + (0.94 * (value - low)) / (high - low) : 0.5,
        text: `rank ${rank}, step ${steps[index]}: ${bad ? "NaN or infinite" : formatNumber(value)}`,
      });
    }
  });
  return { cells, x: [steps[0] ?? 0, (steps.at(-1) ?? 0) + step], low, high, wrong };
}

function FirstNonFinite({ runKey, live }: { runKey: RunKey; live: number }) {
  const { data, error } = useQuery(
    `not finite ${JSON.stringify(runKey)}`,
    (signal) => call("FindNotFinite", runKey, signal),
    live,
    true,
  );
  return (
    <Card title="First NaN or infinity">
      {error && !data ? (
        <p class="form-error">{error.message}</p>
      ) : !data ? (
        <Loading small />
      ) : !data.metrics.length ? (
        <p class="quiet">Every value is finite.</p>
      ) : (
        <table class="plain-table dense">
          <thead>
            <tr>
              <th scope="col">Metric</th>
              <th scope="col" class="right">
                Step
              </th>
              <th scope="col" class="right">
                Rank
              </th>
              <th scope="col" class="right">
                Points
              </th>
            </tr>
          </thead>
          <tbody>
            {data.metrics.slice(0, 50).map((item) => (
              <tr key={item.metric}>
                <td>
                  <a
                    href={`${path(runKey.team, runKey.project, "runs", runKey.run)}?full=${encodeURIComponent(item.metric)}`}
                  >
                    {item.metric}
                  </a>
                </td>
                <td class="right numeric">{item.step}</td>
                <td class="right numeric">{item.rank}</td>
                <td class="right numeric">{item.points}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Card>
  );
}

function Stragglers({ runKey, live }: { runKey: RunKey; live: number }) {
  const { data, error } = useQuery(
    `stragglers ${JSON.stringify(runKey)}`,
    (signal) => call("FindStragglers", { ...runKey, limit: 20 }, signal),
    live,
    true,
  );
  return (
    <Card title="Stragglers">
      {error && !data ? (
        <p class="form-error">{error.message}</p>
      ) : !data ? (
        <Loading small />
      ) : (
        <>
          <p class="quiet">
            The slowest of {data.all_ranks} ranks over the newest steps. The median rank takes{" "}
            {formatDuration(toNumber(data.median_step_s))} per step.
          </p>
          <table class="plain-table dense">
            <thead>
              <tr>
                <th scope="col" class="right">
                  Rank
                </th>
                <th scope="col">Host</th>
                <th scope="col" class="right">
                  Steps behind
                </th>
                <th scope="col" class="right">
                  Time per step
                </th>
                <th scope="col" class="right">
                  Slowdown
                </th>
              </tr>
            </thead>
            <tbody>
              {data.ranks.slice(0, 12).map((item) => (
                <tr key={item.rank} class={item.lags ? "lags" : ""}>
                  <td class="right numeric">{item.rank}</td>
                  <td>{item.host}</td>
                  <td class="right numeric">{item.steps_behind}</td>
                  <td class="right numeric">{formatDuration(toNumber(item.step_s))}</td>
                  <td class="right numeric">{formatNumber(toNumber(item.slowdown), 3)} ×</td>
                </tr>
              ))}
            </tbody>
          </table>
        </>
      )}
    </Card>
  );
}
