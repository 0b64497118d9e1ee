// A plot of a logged table: lines, points, bars, a histogram, a confusion matrix, PR and ROC curves.
import { useMemo, useState } from "preact/hooks";
import { call } from "../api/client";
import type { ConfusionMatrix, GetPlotResponse, PlotBins, PlotSeries } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { Chart } from "../chart/Chart";
import { heatColor } from "../chart/HeatMap";
import type { Line } from "../chart/lines";
import { PALETTE } from "../lib/colors";
import { formatNumber, toNumber } from "../lib/format";
import type { Range } from "../lib/range";
import { setQuery } from "../state/route";
import { dark } from "../state/theme";
import { ErrorMessage, Loading } from "../ui/feedback";
import { StepSlider } from "../ui/StepSlider";
import "../styles/charts.css";

interface PlotKey {
  team: string;
  project: string;
  run: string;
  key: string;
  step?: string;
}

export function Plot({ plotKey }: { plotKey: PlotKey }) {
  const { data, error, refresh } = useQuery(
    `plot ${JSON.stringify(plotKey)}`,
    (signal) => call("GetPlot", plotKey, signal),
    0,
    true,
  );
  if (error && !data) return <ErrorMessage error={error} retry={refresh} />;
  if (!data) return <Loading />;
  return (
    <section class="info wide" aria-label={plotKey.key}>
      <header>
        <h2>{data.title || plotKey.key}</h2>
        <span class="grow" />
        <StepSlider
          steps={data.steps.map(Number)}
          value={plotKey.step === undefined ? null : Number(plotKey.step)}
          set={(step) => setQuery({ at: step })}
        />
      </header>
      <PlotBody plot={data} name={plotKey.key} />
      {data.thinned && <p class="quiet">The plot shows at most 20,000 points of each series.</p>}
    </section>
  );
}

function PlotBody({ plot, name }: { plot: GetPlotResponse; name: string }) {
  if (plot.confusion) return <Confusion matrix={plot.confusion} />;
  if (plot.bins) return <Bars bars={barsOfBins(plot.bins)} label={name} />;
  if (plot.type === "bar") return <Bars bars={barsOf(plot.series)} label={name} />;
  return <Curves plot={plot} name={name} />;
}

function Curves({ plot, name }: { plot: GetPlotResponse; name: string }) {
  const [zoom, setZoom] = useState<Range | null>(null);
  const lines = useMemo(() => plot.series.map((series, index) => seriesLine(series, index, plot.type)), [plot]);
  return (
    <>
      <div class="plot">
        <Chart
          lines={lines}
          axis="metric"
          log={false}
          robust={false}
          zoom={zoom}
          onZoom={setZoom}
          label={`${name}: ${plot.type}`}
        />
      </div>
      <ul class="legend">
        {lines.map((line) => (
          <li key={line.id}>
            <i class="swatch" style={{ background: line.color }} />
            {line.label}
            {line.note && ` (${line.note})`}
          </li>
        ))}
      </ul>
    </>
  );
}

function seriesLine(series: PlotSeries, index: number, type: string): Line {
  const order = series.xs.map((x, i) => [toNumber(x), toNumber(series.ys[i])] as const);
  if (type === "scatter") order.sort((a, b) => a[0] - b[0]);
  const xs = Float64Array.from(order, ([x]) => x);
  const ys = Float64Array.from(order, ([, y]) => y);
  const area =
    type === "pr_curve"
      ? `average precision ${formatNumber(toNumber(series.area), 4)}`
      : type === "roc_curve"
        ? `area ${formatNumber(toNumber(series.area), 4)}`
        : "";
  return {
    id: `${index}`,
    label: series.name || "all",
    note: area,
    color: PALETTE[index % PALETTE.length]!,
    xs,
    steps: xs,
    ys,
    lows: ys,
    highs: ys,
    nonFinite: new Float64Array(xs.length),
    hasBand: false,
    typicalHeight: 0,
    smoothed: null,
    dots: type === "scatter",
  };
}

interface Bar {
  name: string;
  value: number;
}

const MAX_BARS = 200;

function barsOf(all: readonly PlotSeries[]): Bar[] {
  return all.flatMap((series) =>
    series.ys.map((y, i) => ({ name: series.labels[i] ?? formatNumber(toNumber(series.xs[i])), value: toNumber(y) })),
  );
}

function barsOfBins(bins: PlotBins): Bar[] {
  return bins.counts.map((value, i) => ({
    name: `${formatNumber(toNumber(bins.edges[i]), 3)} … ${formatNumber(toNumber(bins.edges[i + 1]), 3)}`,
    value: toNumber(value),
  }));
}

function Bars({ bars, label }: { bars: readonly Bar[]; label: string }) {
  const largest = Math.max(...bars.map((bar) => Math.abs(bar.value)).filter(Number.isFinite), 1e-300);
  return (
    <table class="bars" aria-label={label}>
      <tbody>
        {bars.slice(0, MAX_BARS).map((bar, i) => (
          <tr key={i}>
            <th scope="row" class="clip">
              {bar.name}
            </th>
            <td>
              <i style={{ width: `${(Math.abs(bar.value) / largest) * 100}%` }} />
            </td>
            <td class="right numeric">{formatNumber(bar.value)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const MAX_CLASSES = 60;

function Confusion({ matrix }: { matrix: ConfusionMatrix }) {
  const classes = matrix.classes.slice(0, MAX_CLASSES);
  const largest = Math.max(...matrix.counts.map(toNumber), 1);
  const isDark = dark.value;
  return (
    <>
      <p class="quiet">
        Rows: actual class. Columns: predicted class. Accuracy {formatNumber(toNumber(matrix.accuracy), 4)} of{" "}
        {formatNumber(toNumber(matrix.total))}.
      </p>
      <div class="scrolled" tabIndex={0} role="region" aria-label="Confusion matrix">
        <table class="confusion">
          <thead>
            <tr>
              <td />
              {classes.map((name) => (
                <th key={name} scope="col">
                  {name}
                </th>
              ))}
              <th scope="col">Recall</th>
            </tr>
          </thead>
          <tbody>
            {classes.map((name, i) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                {classes.map((other, j) => {
                  const value = toNumber(matrix.counts[i * matrix.classes.length + j]);
                  const heat = value / largest;
                  return (
                    <td
                      key={other}
                      class={heat > 0.55 ? "numeric full" : "numeric"}
                      style={{ background: value ? heatColor(0.1 + 0.9 * heat, isDark) : "" }}
                      title={`${name} predicted as ${other}: ${value}`}
                    >
                      {value || ""}
                    </td>
                  );
                })}
                <td class="numeric quiet">{formatNumber(toNumber(matrix.scores[i]?.recall), 3)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
