// A panel of the workspace: title, tools, chart. It loads and draws only while it is visible.
import { useEffect, useRef, useState } from "preact/hooks";
import type { Run } from "../api/contract";
import { Dialog } from "../ui/Dialog";
import { Icon } from "../ui/Icon";
import { Menu, MenuItem } from "../ui/Menu";
import { Chart } from "./Chart";
import type { ChartOptions } from "./chartOptions";
import { exportCsv, exportPng, exportSvg } from "./export";
import { useCurves } from "./useCurves";
import { useGroupCurves } from "./useGroupCurves";

export interface PanelProps {
  team: string;
  project: string;
  metric: string;
  runs: readonly Run[];
  colors: ReadonlyMap<string, string>;
  options: ChartOptions;
  full: boolean;
  pinned: boolean;
  highlightedRun: string | null;
  /** The field by which runs are grouped; "" draws a curve for each run. */
  groupBy: string;
  actions: PanelActions;
  /** Height in pixels, for a report. Such a panel is neither pinned nor resized. */
  fixedHeight?: number;
}

export interface PanelActions {
  zoom: (range: readonly [number, number] | null) => void;
  pin: (metric: string) => void;
  open: (metric: string | null) => void;
  log: (metric: string) => void;
  resize: (metric: string, width: number, height: number) => void;
  /** Copies a block that shows the same chart in a report. */
  block?: (metric: string) => void;
}

const BUCKETS = 300;
const BUCKETS_FULL = 1200;

export function Panel(props: PanelProps) {
  const { metric, options, actions } = props;
  const frame = useRef<HTMLElement>(null);
  const isVisible = useIsVisible(frame);
  const [width, height] = options.sizes.get(metric) ?? [1, props.fixedHeight ?? 250];
  const tools = (
    <span class="panel-tools">
      {!props.fixedHeight && (
        <button
          class="icon-button small"
          onClick={() => actions.pin(metric)}
          aria-pressed={props.pinned}
          aria-label={props.pinned ? `Unpin ${metric}` : `Pin ${metric}`}
          title={props.pinned ? "Unpin" : "Pin"}
        >
          <Icon name="pin" size={14} />
        </button>
      )}
      <button
        class="icon-button small"
        onClick={() => actions.open(metric)}
        aria-label={`${metric} on the full screen`}
        title="Full screen"
      >
        <Icon name="full" size={14} />
      </button>
      <Menu label={`More about ${metric}`} button={<Icon name="more" size={14} />} class="small">
        <MenuItem checked={isLog(options, metric)} onSelect={() => actions.log(metric)}>
          Logarithmic
        </MenuItem>
        <MenuItem onSelect={() => void exportPng(frame.current!, metric)}>Save as PNG</MenuItem>
        <MenuItem
          onSelect={() =>
            void exportSvg(frame.current!, {
              title: metric,
              lines: latest.current,
              axis: props.groupBy ? "step" : options.axis,
              log: isLog(options, metric),
              robust: options.robust,
              zoom: options.zoom,
            })
          }
        >
          Save as SVG
        </MenuItem>
        <MenuItem onSelect={() => exportCsv(metric, latest.current)}>Save as CSV</MenuItem>
        {actions.block && <MenuItem onSelect={() => actions.block!(metric)}>Copy for a report</MenuItem>}
      </Menu>
    </span>
  );
  const latest = useRef<ReturnType<typeof useCurves>["lines"]>([]);
  return (
    <article
      class="panel"
      ref={frame}
      style={{ gridColumn: `span ${width}`, height: `${height}px` }}
      aria-label={metric}
    >
      <header>
        <h3 class="clip" title={metric}>
          {metric}
        </h3>
        {tools}
      </header>
      <PanelBody {...props} seen={isVisible && !props.full} buckets={BUCKETS} keep={latest} />
      {!props.fixedHeight && <Grip metric={metric} width={width} height={height} resize={actions.resize} />}
      {props.full && (
        <Dialog title={metric} close={() => actions.open(null)} class="full">
          <PanelBody {...props} seen buckets={BUCKETS_FULL} keep={latest} />
        </Dialog>
      )}
    </article>
  );
}

function PanelBody(
  props: PanelProps & { seen: boolean; buckets: number; keep: { current: ReturnType<typeof useCurves>["lines"] } },
) {
  const { options, actions } = props;
  const query = {
    team: props.team,
    project: props.project,
    runs: props.runs,
    colors: props.colors,
    metric: props.metric,
    axis: options.axis,
    xMetric: options.xMetric,
    smoothing: options.smoothing,
    zoom: options.zoom,
    eachRank: options.eachRank,
    buckets: props.buckets,
  };
  const single = useCurves(query, props.seen && !props.groupBy);
  const grouped = useGroupCurves(query, props.groupBy, options.band, props.seen && Boolean(props.groupBy));
  const { lines, error, waiting } = props.groupBy ? grouped : single;
  props.keep.current = lines;
  if (!props.seen) return <div class="panel-body" />;
  const log = isLog(options, props.metric);
  const empty = !lines.length || !lines.some((line) => line.xs.length);
  return (
    <div class={waiting && empty ? "panel-body busy" : "panel-body"}>
      {empty ? (
        <p class="panel-note">
          {error
            ? error.message
            : waiting
              ? ""
              : options.zoom
                ? "No points in this range. Double-click to see all."
                : "No visible run has this metric"}
        </p>
      ) : (
        <Chart
          lines={lines}
          axis={props.groupBy ? "step" : options.axis}
          log={log}
          robust={options.robust}
          zoom={options.zoom}
          onZoom={actions.zoom}
          label={`${props.metric}: ${lines.length} curves`}
          highlightedLine={
            props.highlightedRun === null
              ? null
              : (lines.find((line) => line.id.startsWith(`${props.highlightedRun}\n`))?.id ?? null)
          }
        />
      )}
      {props.groupBy && !empty && (
        <ul class="legend">
          {lines.slice(0, 8).map((line) => (
            <li key={line.id} class="clip">
              <i class="swatch" style={{ background: line.color }} />
              {line.label}
            </li>
          ))}
          {lines.length > 8 && <li class="quiet">and {lines.length - 8} more</li>}
        </ul>
      )}
      {empty && !waiting && options.zoom && (
        <button class="link" onClick={() => actions.zoom(null)}>
          See all
        </button>
      )}
      {log && !empty && !lines.some((line) => line.highs.some((value) => value > 0)) && (
        <p class="panel-note over">No value is positive, so a logarithmic axis shows nothing</p>
      )}
      {!empty && lines.every((line) => line.ys.every((value) => !Number.isFinite(value))) && (
        <p class="panel-note over">Only NaN or infinite values</p>
      )}
      {error && !empty && (
        <span class="panel-stale" title={error.message}>
          not up to date
        </span>
      )}
    </div>
  );
}

function isLog(options: ChartOptions, metric: string): boolean {
  return options.log !== options.flipped.has(metric);
}

/** The corner that resizes a panel, by whole columns and to any height. Arrow keys do the same. */
function Grip(props: { metric: string; width: number; height: number; resize: PanelActions["resize"] }) {
  const onPointerDown = (event: PointerEvent) => {
    const grip = event.currentTarget as HTMLElement;
    const panel = grip.closest<HTMLElement>(".panel")!;
    const column = panel.offsetWidth / props.width;
    const start = { x: event.clientX, y: event.clientY };
    grip.setPointerCapture(event.pointerId);
    const size = (moved: PointerEvent): [number, number] => [
      clamp(
        Math.round((panel.offsetWidth === 0 ? column : props.width * column + moved.clientX - start.x) / column),
        1,
        4,
      ),
      clamp(Math.round((props.height + moved.clientY - start.y) / 10) * 10, 150, 900),
    ];
    const onPointerMove = (moved: PointerEvent) => {
      const [width, height] = size(moved);
      panel.style.gridColumn = `span ${width}`;
      panel.style.height = `${height}px`;
    };
    const onPointerUp = (moved: PointerEvent) => {
      grip.removeEventListener("pointermove", onPointerMove);
      grip.removeEventListener("pointerup", onPointerUp);
      props.resize(props.metric, ...size(moved));
    };
    grip.addEventListener("pointermove", onPointerMove);
    grip.addEventListener("pointerup", onPointerUp);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const change = (
      { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 20], ArrowUp: [0, -20] } as Record<
        string,
        [number, number]
      >
    )[event.key];
    if (!change) return;
    event.preventDefault();
    props.resize(props.metric, clamp(props.width + change[0], 1, 4), clamp(props.height + change[1], 150, 900));
  };
  return (
    <button
      class="grip"
      aria-label={`Resize ${props.metric}: arrow keys`}
      onPointerDown={onPointerDown}
      onKeyDown={onKeyDown}
    />
  );
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}

function useIsVisible(element: { current: Element | null }): boolean {
  const [isVisible, setSeen] = useState(false);
  useEffect(() => {
    const observer = new IntersectionObserver((entries) => setSeen(entries.at(-1)!.isIntersecting), {
      rootMargin: "150px",
    });
    observer.observe(element.current!);
    return () => observer.disconnect();
  }, [element]);
  return isVisible;
}
