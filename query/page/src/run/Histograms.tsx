// Distributions over steps, as a heat map for each key.
import { call } from "../api/client";
import type { HeatMap as HistogramMap } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { type Cell, HeatMap } from "../chart/HeatMap";
import { count, formatNumber, toNumber } from "../lib/format";
import { ErrorMessage, Loading } from "../ui/feedback";
import type { RunProps, RunTabProps } from "./tabProps";
import "../styles/rich.css";
import "../styles/charts.css";

export default function Histograms({ run, keys }: RunTabProps) {
  return (
    <div class="rich wide-grid">
      {keys
        .filter((key) => key.kind === "KEY_KIND_HISTOGRAM")
        .map((key) => (
          <HistogramCard key={key.name} run={run} name={key.name} />
        ))}
    </div>
  );
}

function HistogramCard({ run, name }: RunProps & { name: string }) {
  const request = { team: run.team, project: run.project, run: run.id, key: name };
  const { data, error, refresh } = useQuery(
    `histogram ${JSON.stringify(request)}`,
    (signal) => call("GetHistograms", request, signal),
    run.state === "RUN_STATE_RUNNING" ? 4000 : 0,
    true,
  );
  const map = data?.heat_maps[0];
  return (
    <section class="info" aria-label={name}>
      <header>
        <h2 class="clip">{name}</h2>
        <span class="grow" />
        {data && <span class="quiet numeric">{count(Number(data.histograms), "histogram")}</span>}
      </header>
      {error && !data ? (
        <ErrorMessage error={error} retry={refresh} />
      ) : !map ? (
        <Loading small />
      ) : (
        <HeatMap {...toCells(map)} label={`${name}: distribution over steps`} />
      )}
    </section>
  );
}

function toCells(map: HistogramMap): { cells: Cell[]; x: [number, number]; y: [number, number] } {
  const maxCount = Math.log1p(toNumber(map.largest_count)) || 1;
  const cells: Cell[] = [];
  const columns = map.columns;
  columns.forEach((column, index) => {
    const x0 = Number(column.first_step);
    const x1 =
      index + 1 < columns.length
        ? Number(columns[index + 1]!.first_step)
        : Math.max(Number(column.last_step) + 1, x0 + (index ? x0 - Number(columns[index - 1]!.first_step) : 1));
    column.counts.forEach((value, bin) => {
      const y0 = toNumber(column.edges[bin]);
      const y1 = toNumber(column.edges[bin + 1]);
      if (toNumber(value) > 0)
        cells.push({
          x0,
          x1,
          y0,
          y1,
          heat: 0.08 + (0.92 * Math.log1p(toNumber(value))) / maxCount,
          text: `step ${x0}: ${formatNumber(toNumber(value))} in ${formatNumber(y0)} … ${formatNumber(y1)}`,
        });
    });
  });
  const last = cells.at(-1);
  const low = toNumber(map.lowest);
  const high = toNumber(map.highest);
  return {
    cells,
    x: [Number(columns[0]?.first_step ?? 0), last?.x1 ?? 1],
    y: low < high ? [low, high] : [low - 0.5, high + 0.5],
  };
}
