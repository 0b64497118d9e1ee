// One chart: lines over an x axis, with a shared pointer, and zoom by dragging. It knows nothing of runs or requests.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { formatDuration, formatTick } from "../lib/format";
import type { Range } from "../lib/range";
import { dark } from "../state/theme";
import { DURATION_DISTANCES, logTicks, WHOLE_DISTANCES, xRange, yRange } from "./axes";
import { drawLines } from "./draw";
import { hoverAt } from "./hoverSync";
import type { Line, XAxisMode } from "./lines";
import { followPointer, type Pointer } from "./pointer";

export interface ChartProps {
  lines: readonly Line[];
  axis: XAxisMode;
  log: boolean;
  robust: boolean;
  zoom: Range | null;
  /** Called with the selected range of x, or null to show all. */
  onZoom: (range: Range | null) => void;
  label: string;
  /** Id of the line to highlight, for a run that the pointer is over elsewhere on the page. */
  highlightedLine?: string | null;
}

const CLICK_PX = 4;

export function Chart(props: ChartProps) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  const drawn = useRef<ChartProps | null>(null);
  latest.current = props;
  const pointer = useRef<Pointer | null>(null);
  const isDark = dark.value;

  useEffect(() => {
    const element = host.current!;
    const u = new uPlot(options(latest, element, pointer), dataOf(latest.current), element);
    plot.current = u;
    drawn.current = latest.current;
    const observer = new ResizeObserver(() => {
      const { clientWidth: width, clientHeight: height } = element;
      if (width && height && (width !== u.width || height !== u.height)) u.setSize({ width, height });
    });
    observer.observe(element);
    const newPointer = followPointer(u, element.parentElement!, () => latest.current);
    pointer.current = newPointer;
    newPointer.highlight(latest.current.highlightedLine ?? null);
    u.over.addEventListener("dblclick", () => latest.current.onZoom(null));
    return () => {
      observer.disconnect();
      newPointer.end();
      pointer.current = null;
      u.destroy();
      plot.current = null;
    };
  }, [props.axis, props.log, isDark]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: new props with the same data need no new drawing
  useEffect(() => {
    if (drawn.current === props) return; // it was just drawn with these props
    drawn.current = props;
    plot.current?.setData(dataOf(props));
  }, [props.lines, props.zoom?.[0], props.zoom?.[1], props.robust]);
  useEffect(() => pointer.current?.highlight(props.highlightedLine ?? null), [props.highlightedLine]);

  return (
    <div class="chart" role="img" aria-label={props.label}>
      <div class="chart-host" ref={host} />
    </div>
  );
}

/** Return two corners: uPlot only needs to know what the axes span. */
function dataOf(props: ChartProps): uPlot.AlignedData {
  const x = xRange(props.lines, props.zoom);
  const y = yRange(props.lines, x, props) ?? (props.log ? [1, 10] : [0, 1]);
  return [[...x], [...y]];
}

function options(
  latest: { current: ChartProps },
  element: HTMLElement,
  pointer: { current: Pointer | null },
): uPlot.Options {
  const { axis, log } = latest.current;
  const whole: Range = [0, 1];
  return {
    width: element.clientWidth || 300,
    height: element.clientHeight || 200,
    padding: [8, 10, 0, 0],
    legend: { show: false },
    scales: {
      x: { time: axis === "wall", range: (_u, low, high) => [low ?? whole[0], high ?? whole[1]] },
      y: { distr: log ? 3 : 1, range: (_u, low, high) => [low ?? whole[0], high ?? whole[1]] },
    },
    axes: axesOptions(axis, log, element),
    series: [{}, { paths: () => null, points: { show: false } }],
    cursor: {
      x: false,
      y: false,
      points: { show: false },
      drag: { x: true, y: false, setScale: false, dist: CLICK_PX },
      bind: { dblclick: () => () => null },
    },
    hooks: {
      draw: [(u) => drawLines(u, latest.current.lines), () => pointer.current?.refresh()],
      setCursor: [
        (u) => {
          const { left, top } = u.cursor;
          if (left !== undefined && left >= 0 && top !== undefined && top >= 0) hoverAt(u.posToVal(left, "x"), u);
        },
      ],
      setSelect: [
        (u) => {
          const { left, width } = u.select;
          if (width < CLICK_PX) return;
          const range: Range = [u.posToVal(left, "x"), u.posToVal(left + width, "x")];
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          latest.current.onZoom(range);
        },
      ],
    },
  };
}

function axesOptions(axis: XAxisMode, log: boolean, element: HTMLElement): uPlot.Axis[] {
  const style = getComputedStyle(element);
  const ink = style.getPropertyValue("--quiet").trim();
  const grid = { stroke: style.getPropertyValue("--grid").trim(), width: 1 };
  const font = `11px ${style.fontFamily}`;
  return [
    {
      stroke: ink,
      font,
      grid: { show: false },
      ticks: { ...grid, size: 4 },
      size: 26,
      gap: 4,
      space: axis === "wall" ? 70 : 60,
      ...(axis === "metric" ? { values: (_u: uPlot, ticks: number[]) => ticks.map(formatTick) } : {}),
      ...(axis === "step"
        ? { incrs: WHOLE_DISTANCES, values: (_u: uPlot, ticks: number[]) => ticks.map(formatTick) }
        : {}),
      ...(axis === "time"
        ? { incrs: DURATION_DISTANCES, values: (_u: uPlot, ticks: number[]) => ticks.map(formatDuration) }
        : {}),
    },
    {
      stroke: ink,
      font,
      grid,
      ticks: { show: false },
      gap: 6,
      size: (u, values) =>
        Math.max(34, ...(values ?? []).map((text) => u.ctx.measureText(text).width / devicePixelRatio + 14)),
      values: (_u, ticks) => ticks.map((tick) => (tick === null ? "" : formatTick(tick))),
      ...(log
        ? {
            splits: (u: uPlot) => logTicks([u.scales.y!.min!, u.scales.y!.max!]),
            filter: (_u: uPlot, splits: number[]) => splits,
          }
        : { space: (u: uPlot) => Math.max(34, u.height / 9) }),
    },
  ];
}
