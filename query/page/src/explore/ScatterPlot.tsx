// A scatter plot of two columns: a point for each run or trial, and perhaps a line (a front, the best so far).
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { navigate } from "../state/route";
import { dark } from "../state/theme";
import { opacity, prepareCanvas, themeColor } from "./canvas";
import { colorRamp, NO_SHADE } from "./colorRamp";
import { PointTooltip } from "./PointTooltip";
import type { PlotColumn, PlotRows } from "./plotColumns";
import { type Scale, scaleOf } from "./plotScales";
import { useWidth } from "./useWidth";

const LEFT = 58;
const RIGHT = 14;
const TOP = 22;
const BOTTOM = 42;
const NEAR_PX = 18;

export interface ScatterPlotProps {
  rows: PlotRows;
  x: PlotColumn;
  y: PlotColumn;
  logX: boolean;
  logY: boolean;
  shades: Uint8Array;
  /** Rows with 0 are drawn faint, and the pointer does not find them. */
  selected: Uint8Array;
  /** Corners of the line, in values. */
  line?: readonly (readonly [number, number])[];
  /** Rows with a ring. */
  ringed?: ReadonlySet<number>;
  /** Columns that the tooltip shows beside x and y. */
  also?: readonly PlotColumn[];
  label: string;
  height?: number;
}

export function ScatterPlot(props: ScatterPlotProps) {
  const { rows, x, y } = props;
  const height = props.height ?? 300;
  const [host, width] = useWidth();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [hover, setHover] = useState<{ row: number; x: number; y: number } | null>(null);
  const isDark = dark.value;
  const scales = useMemo(() => {
    const horizontal = scaleOf(x, props.logX, LEFT, Math.max(width - RIGHT, LEFT + 10), 64, 0.04);
    const vertical = scaleOf(y, props.logY, height - BOTTOM, TOP, 34, 0.06);
    return {
      horizontal,
      vertical,
      xs: Float32Array.from(x.values, horizontal.at),
      ys: Float32Array.from(y.values, vertical.at),
    };
  }, [x, y, props.logX, props.logY, width, height]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `scales` stands for the size, these props for the data
  useEffect(() => {
    const ctx = prepareCanvas(canvas.current, width, height);
    if (ctx) draw(ctx, canvas.current!, props, { ...scales, width, height }, colorRamp(isDark), hover?.row ?? -1);
  }, [scales, props.shades, props.selected, props.line, props.ringed, isDark, hover?.row]);
  const onPointerMove = (event: PointerEvent) => {
    const box = canvas.current!.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    let found = -1;
    let least = NEAR_PX;
    for (let row = 0; row < scales.xs.length; row++) {
      if (!props.selected[row]) continue;
      const distance = Math.hypot(scales.xs[row]! - px, scales.ys[row]! - py);
      if (distance < least) [least, found] = [distance, row];
    }
    setHover(found < 0 ? null : { row: found, x: px, y: py });
  };
  const openRun = () => hover && rows.links[hover.row] && navigate(rows.links[hover.row]!);
  const tooltipColumns = [x, y, ...(props.also ?? [])].filter((column, index, all) => all.indexOf(column) === index);
  return (
    <div
      class="scatter"
      ref={host}
      onPointerMove={onPointerMove}
      onPointerLeave={() => setHover(null)}
      onClick={openRun}
    >
      <canvas
        ref={canvas}
        style={{ width: `${width}px`, height: `${height}px` }}
        role="img"
        aria-label={`${props.label}: ${y.title} over ${x.title}`}
      />
      {hover && (
        <PointTooltip rows={rows} axes={tooltipColumns} row={hover.row} x={hover.x} y={hover.y} width={width} />
      )}
    </div>
  );
}

interface Scales {
  /** Size of the plot in pixels. */
  width: number;
  height: number;
  horizontal: Scale;
  vertical: Scale;
  xs: Float32Array;
  ys: Float32Array;
}

function draw(
  ctx: CanvasRenderingContext2D,
  element: HTMLElement,
  props: ScatterPlotProps,
  scales: Scales,
  colors: readonly string[],
  hovered: number,
): void {
  drawAxes(ctx, element, scales);
  drawTitles(ctx, element, props, scales);
  const { xs, ys } = scales;
  const count = xs.length;
  const radius = count > 2000 ? 2.5 : count > 300 ? 3 : 4;
  if (props.line) drawLine(ctx, element, props.line, scales);
  const traceDot = (row: number, size: number) => {
    ctx.beginPath();
    ctx.arc(xs[row]!, ys[row]!, size, 0, 2 * Math.PI);
  };
  const quiet = themeColor(element, "--field");
  for (const selected of [0, 1]) {
    ctx.globalAlpha = selected ? Math.max(opacity(count), 0.5) : 0.18;
    for (let row = 0; row < count; row++) {
      if (props.selected[row] !== selected || Number.isNaN(xs[row]!) || Number.isNaN(ys[row]!)) continue;
      ctx.fillStyle = !selected || props.shades[row] === NO_SHADE ? quiet : colors[props.shades[row]!]!;
      traceDot(row, radius);
      ctx.fill();
    }
  }
  ctx.globalAlpha = 1;
  ctx.strokeStyle = themeColor(element, "--ink");
  for (const row of [...(props.ringed ?? []), ...(hovered >= 0 ? [hovered] : [])]) {
    ctx.lineWidth = row === hovered ? 2 : 1.2;
    traceDot(row, radius + 2);
    ctx.stroke();
  }
}

function drawAxes(
  ctx: CanvasRenderingContext2D,
  element: HTMLElement,
  { horizontal, vertical, width, height }: Scales,
): void {
  ctx.font = `11px ${getComputedStyle(element).fontFamily}`;
  ctx.fillStyle = themeColor(element, "--quiet");
  ctx.strokeStyle = themeColor(element, "--grid");
  ctx.lineWidth = 1;
  ctx.textAlign = "right";
  ctx.textBaseline = "middle";
  for (const tick of vertical.ticks) {
    ctx.beginPath();
    ctx.moveTo(LEFT, tick.at);
    ctx.lineTo(width - RIGHT, tick.at);
    ctx.stroke();
    ctx.fillText(clipText(tick.text, 8), LEFT - 7, tick.at);
  }
  ctx.textAlign = "center";
  for (const tick of horizontal.ticks)
    ctx.fillText(clipText(tick.text, 10), Math.min(Math.max(tick.at, LEFT), width - 20), height - BOTTOM + 14);
}

function drawTitles(
  ctx: CanvasRenderingContext2D,
  element: HTMLElement,
  { x, y }: ScatterPlotProps,
  { width, height }: Scales,
): void {
  ctx.fillStyle = themeColor(element, "--quiet");
  ctx.textAlign = "left";
  ctx.fillText(clipText(y.title, 60), 8, 8);
  ctx.textAlign = "right";
  ctx.fillText(clipText(x.title, 60), width - RIGHT, height - 8);
}

function drawLine(
  ctx: CanvasRenderingContext2D,
  element: HTMLElement,
  line: readonly (readonly [number, number])[],
  { horizontal, vertical }: Scales,
): void {
  ctx.strokeStyle = themeColor(element, "--accent");
  ctx.lineWidth = 1.8;
  ctx.beginPath();
  for (const [x, y] of line) ctx.lineTo(horizontal.at(x), vertical.at(y));
  ctx.stroke();
}

function clipText(text: string, largest: number): string {
  const letters = [...text];
  return letters.length > largest ? `${letters.slice(0, largest - 1).join("")}…` : text;
}
