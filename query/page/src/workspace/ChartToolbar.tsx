// The toolbar over the charts. The URL keeps what it sets.
import type { ComponentChildren } from "preact";
import type { ChartOptions } from "../chart/chartOptions";
import type { XAxisMode } from "../chart/lines";
import { formatDuration, formatNumber } from "../lib/format";
import { setQuery } from "../state/route";
import { Icon } from "../ui/Icon";
import { NameInput } from "../ui/NameInput";
import { Select } from "../ui/Select";

export function ChartToolbar({
  options,
  search,
  ranked,
  groupBy,
  metrics,
  copyLink,
  tools,
}: {
  options: ChartOptions;
  search: string;
  ranked: boolean;
  groupBy: string;
  metrics: readonly string[];
  copyLink: () => void;
  tools?: ComponentChildren;
}) {
  return (
    <div class="toolbar" role="toolbar" aria-label="Charts">
      {tools}
      <div class="field grow">
        <Icon name="search" size={14} />
        <input
          id="metric-search"
          type="search"
          placeholder="Search metrics: loss, grad.*norm"
          aria-label="Search metrics by regular expression"
          value={search}
          onInput={(event) => setQuery({ q: event.currentTarget.value })}
        />
      </div>
      {!groupBy && <XAxisSelect axis={options.axis} metrics={metrics} />}
      {options.axis === "metric" && (
        <NameInput
          label="Metric of the x axis"
          value={options.xMetric}
          names={metrics}
          set={(name) => setQuery({ xm: name, zoom: null })}
        />
      )}
      {ranked && (
        <Select
          label="Ranks"
          value={options.eachRank ? "each" : "mean"}
          options={{ mean: "Mean of ranks", each: "Each rank" }}
          set={(ranks) => setQuery({ ranks: ranks === "mean" ? null : ranks })}
        />
      )}
      {groupBy && <GroupChip groupBy={groupBy} band={options.band} />}
      <label class="slider" title="Exponential moving average. The raw curve stays visible.">
        <span>Smoothing</span>
        <input
          type="range"
          min="0"
          max="0.99"
          step="0.01"
          value={options.smoothing}
          onInput={(event) => setQuery({ smooth: Number(event.currentTarget.value) || null })}
        />
        <output class="numeric">{options.smoothing.toFixed(2)}</output>
      </label>
      <button
        class="toggle"
        aria-pressed={options.log}
        onClick={() => setQuery({ log: !options.log })}
        title="Logarithmic y axes (l)"
      >
        Log
      </button>
      <button
        class="toggle"
        aria-pressed={options.robust}
        onClick={() => setQuery({ robust: !options.robust })}
        title="Ignore outliers in the range of the y axes (o)"
      >
        No outliers
      </button>
      {options.zoom && (
        <button
          class="toggle on"
          onClick={() => setQuery({ zoom: null })}
          title="Zoom out (z), or double-click a chart"
        >
          {zoomText(options)} <Icon name="close" size={12} />
        </button>
      )}
      <button
        class="icon-button"
        onClick={copyLink}
        aria-label="Copy a link to this view"
        title="Copy a link to this view (c)"
      >
        <Icon name="link" />
      </button>
    </div>
  );
}

function XAxisSelect({ axis, metrics }: { axis: XAxisMode; metrics: readonly string[] }) {
  const names = { step: "Step", time: "Relative time", wall: "Wall time" };
  return (
    <Select
      label="X axis"
      value={axis}
      options={(metrics.length ? { ...names, metric: "A metric" } : names) as Record<XAxisMode, string>}
      set={(next) =>
        setQuery({
          x: next === "step" || next === "metric" ? null : next,
          xm: next === "metric" ? (metrics.find((name) => /epoch/i.test(name)) ?? metrics[0]!) : null,
          zoom: null,
        })
      }
    />
  );
}

function GroupChip({ groupBy, band }: { groupBy: string; band: ChartOptions["band"] }) {
  return (
    <span class="toggle on" title="Runs are grouped">
      By {groupBy}
      <select
        class="bare"
        aria-label="Band of a group"
        value={band}
        onChange={(event) => setQuery({ band: event.currentTarget.value === "std" ? "std" : null })}
      >
        <option value="range">min – max</option>
        <option value="std">mean ± std</option>
      </select>
      <button aria-label="Do not group" onClick={() => setQuery({ group: null, band: null })}>
        <Icon name="close" size={12} />
      </button>
    </span>
  );
}

function zoomText(options: ChartOptions): string {
  const [low, high] = options.zoom!;
  if (options.axis === "step") return `${formatNumber(Math.ceil(low))} – ${formatNumber(Math.floor(high))}`;
  if (options.axis === "metric") return `${formatNumber(low)} – ${formatNumber(high)}`;
  if (options.axis === "time") return `${formatDuration(low)} – ${formatDuration(high)}`;
  return `${new Date(low * 1000).toLocaleTimeString()} – ${new Date(high * 1000).toLocaleTimeString()}`;
}
