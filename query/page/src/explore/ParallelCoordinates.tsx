// Parallel coordinates: a line for each run or trial over axes of parameters and metrics. Ranges on axes select lines.
// Three canvases keep thousands of lines smooth: all lines, faint and drawn once; the selected lines; the line under
// the pointer. Axes and ranges are SVG.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { navigate } from "../state/route";
import { dark } from "../state/theme";
import { AxisBrush } from "./AxisBrush";
import { type Brushes, selectedRows, withBrush } from "./brushes";
import { opacity, prepareCanvas, themeColor } from "./canvas";
import { colorRamp, NO_SHADE, SHADES } from "./colorRamp";
import { PointTooltip } from "./PointTooltip";
import { canBeLog, type PlotColumn, type PlotRows } from "./plotColumns";
import { scaleOf } from "./plotScales";
import { useWidth } from "./useWidth";

const HEIGHT = 300;
const BOTTOM = 26;
const SIDE = 64;
const MIN_AXIS_WIDTH = 104;
const NEAR_PX = 12;

export interface ParallelCoordinatesProps {
  rows: PlotRows;
  axes: readonly PlotColumn[];
  isLog: (column: PlotColumn) => boolean;
  flipLog: (column: PlotColumn) => void;
  brushes: Brushes;
  setBrushes: (brushes: Brushes) => void;
  /** A shade for each row; see `shadesByRank`. */
  shades: Uint8Array;
  label: string;
}

export function ParallelCoordinates(props: ParallelCoordinatesProps) {
  const { rows, axes, brushes } = props;
  const [host, availableWidth] = useWidth();
  const [allCanvas, selectedCanvas, hoverCanvas] = [
    useRef<HTMLCanvasElement>(null),
    useRef<HTMLCanvasElement>(null),
    useRef<HTMLCanvasElement>(null),
  ];
  const [hover, setHover] = useState<{ row: number; x: number; y: number } | null>(null);
  const movingBrushes = useRef<Brushes | null>(null);
  const frame = useRef(0);
  const isDark = dark.value;
  const width = Math.max(availableWidth, SIDE * 2 + (axes.length - 1) * MIN_AXIS_WIDTH);
  const logs = axes.map(props.isLog).join();
  // biome-ignore lint/correctness/useExhaustiveDependencies: `logs` stands for what `isLog` answers
  const lanes = useMemo(() => createLanes(axes, props.isLog, width), [axes, logs, width]);
  const count = rows.ids.length;

  const draw = () => {
    const ctx = prepareCanvas(selectedCanvas.current, width, HEIGHT + BOTTOM);
    if (ctx)
      drawSelectedLines(
        ctx,
        selectedCanvas.current!,
        lanes,
        selectedRows(axes, movingBrushes.current ?? brushes, count),
        props.shades,
        colorRamp(isDark),
      );
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: `lanes` is new for other rows or another width
  useEffect(() => {
    const ctx = prepareCanvas(allCanvas.current, width, HEIGHT + BOTTOM);
    if (ctx) drawAllLines(ctx, allCanvas.current!, lanes, count);
  }, [lanes, isDark]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `lanes` is new for other rows or another width
  useEffect(draw, [lanes, brushes, props.shades, isDark]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `lanes` is new for other rows or another width
  useEffect(() => {
    const ctx = prepareCanvas(hoverCanvas.current, width, HEIGHT + BOTTOM);
    if (ctx && hover) drawHoveredLine(ctx, hoverCanvas.current!, lanes, hover.row);
  }, [lanes, isDark, hover?.row]);
  useEffect(() => () => cancelAnimationFrame(frame.current), []);

  const move: MoveBrush = (field, range, isFinal) => {
    const next = withBrush(movingBrushes.current ?? brushes, field, range);
    movingBrushes.current = isFinal ? null : next;
    if (isFinal) return props.setBrushes(next);
    cancelAnimationFrame(frame.current);
    frame.current = requestAnimationFrame(draw);
  };
  const onPointerMove = (event: PointerEvent) => {
    if (movingBrushes.current) return;
    const box = selectedCanvas.current!.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const row = nearestLine(lanes, selectedRows(axes, brushes, count), x, y);
    setHover(row < 0 ? null : { row, x, y });
  };
  const openRun = () => hover && rows.links[hover.row] && navigate(rows.links[hover.row]!);
  return (
    <div class="parallel" ref={host}>
      <div class="scrolled" tabIndex={0} role="region" aria-label={props.label}>
        <AxisHeads lanes={lanes} width={width} isLog={props.isLog} flipLog={props.flipLog} />
        <div
          class="parallel-plot"
          style={{ width: `${width}px`, height: `${HEIGHT + BOTTOM}px` }}
          onPointerMove={onPointerMove}
          onPointerLeave={() => setHover(null)}
          onClick={openRun}
        >
          {[allCanvas, selectedCanvas, hoverCanvas].map((item, index) => (
            <canvas key={index} ref={item} style={{ width: `${width}px`, height: `${HEIGHT + BOTTOM}px` }} />
          ))}
          <svg
            width={width}
            height={HEIGHT + BOTTOM}
            role="img"
            aria-label={`${props.label}: ${count} lines over ${axes.map((axis) => axis.title).join(", ")}`}
          >
            {lanes.map((lane, index) => (
              <Axis
                key={lane.column.field}
                lane={lane}
                isLast={index === lanes.length - 1}
                range={brushes.get(lane.column.field)}
                move={move}
              />
            ))}
          </svg>
          {hover && <PointTooltip rows={rows} axes={axes} row={hover.row} x={hover.x} y={hover.y} width={width} />}
        </div>
      </div>
    </div>
  );
}

const PLOT = HEIGHT - 6;

function AxisHeads(props: {
  lanes: readonly AxisLane[];
  width: number;
  isLog: (column: PlotColumn) => boolean;
  flipLog: (column: PlotColumn) => void;
}) {
  return (
    <div class="parallel-heads" style={{ width: `${props.width}px` }}>
      {props.lanes.map(({ column, x }) => (
        <div
          key={column.field}
          class="axis-head"
          style={{ left: `${x - MIN_AXIS_WIDTH / 2}px`, width: `${MIN_AXIS_WIDTH}px` }}
        >
          <span class="clip" title={column.title}>
            {column.title}
          </span>
          {canBeLog(column) && (
            <button
              aria-pressed={props.isLog(column)}
              aria-label={`log axis of ${column.title}`}
              onClick={() => props.flipLog(column)}
            >
              log
            </button>
          )}
        </div>
      ))}
    </div>
  );
}

type MoveBrush = (field: string, range: readonly [number, number] | null, isFinal: boolean) => void;

function Axis(props: {
  lane: AxisLane;
  isLast: boolean;
  range: readonly [number, number] | undefined;
  move: MoveBrush;
}) {
  const { lane, isLast } = props;
  return (
    <g transform={`translate(${lane.x},6)`}>
      <line class="axis-line" y2={PLOT} />
      {lane.scale.ticks.map((tick) => (
        <text
          key={tick.at}
          class="axis-text"
          x={isLast ? 7 : -7}
          y={tick.at}
          text-anchor={isLast ? "start" : "end"}
          dominant-baseline="middle"
        >
          {shortenText(tick.text)}
        </text>
      ))}
      {lane.missing && (
        <text class="axis-text" y={PLOT + 20} text-anchor="middle">
          none
        </text>
      )}
      <AxisBrush
        height={PLOT}
        scale={lane.scale}
        range={props.range}
        move={(range, isFinal) => props.move(lane.column.field, range, isFinal)}
      />
    </g>
  );
}

interface AxisLane {
  column: PlotColumn;
  x: number;
  scale: ReturnType<typeof scaleOf>;
  /** Pixels from the top, for each row. */
  positions: Float32Array;
  missing: boolean;
}

function createLanes(axes: readonly PlotColumn[], isLog: (column: PlotColumn) => boolean, width: number): AxisLane[] {
  const gap = axes.length > 1 ? (width - SIDE * 2) / (axes.length - 1) : 0;
  return axes.map((column, index) => {
    const scale = scaleOf(column, isLog(column), PLOT, 0, 26);
    const positions = Float32Array.from(column.values, (value) => scale.at(value) + 6);
    const missing = positions.some(Number.isNaN);
    for (let row = 0; row < positions.length; row++) if (Number.isNaN(positions[row]!)) positions[row] = PLOT + 16;
    return { column, x: SIDE + index * gap, scale, positions, missing };
  });
}

function drawAllLines(
  ctx: CanvasRenderingContext2D,
  element: Element,
  lanes: readonly AxisLane[],
  count: number,
): void {
  ctx.globalAlpha = Math.min(opacity(count), 0.5);
  ctx.strokeStyle = themeColor(element, "--line");
  ctx.beginPath();
  for (let row = 0; row < count; row++) traceLine(ctx, lanes, row);
  ctx.stroke();
}

/** Draw the selected lines by shade, the best on top. Lines of one shade are one path. */
function drawSelectedLines(
  ctx: CanvasRenderingContext2D,
  element: Element,
  lanes: readonly AxisLane[],
  selected: Uint8Array,
  shades: Uint8Array,
  colors: readonly string[],
): void {
  const byShade: number[][] = Array.from({ length: SHADES + 1 }, () => []);
  for (let row = 0; row < selected.length; row++)
    if (selected[row]) byShade[shades[row] === NO_SHADE ? 0 : shades[row]! + 1]!.push(row);
  ctx.lineJoin = "round";
  ctx.lineWidth = 1.3;
  ctx.globalAlpha = opacity(byShade.reduce((sum, rows) => sum + rows.length, 0));
  byShade.forEach((rows, index) => {
    if (!rows.length) return;
    ctx.strokeStyle = index === 0 ? themeColor(element, "--field") : colors[index - 1]!;
    ctx.beginPath();
    for (const row of rows) traceLine(ctx, lanes, row);
    ctx.stroke();
  });
}

function drawHoveredLine(
  ctx: CanvasRenderingContext2D,
  element: Element,
  lanes: readonly AxisLane[],
  row: number,
): void {
  ctx.strokeStyle = themeColor(element, "--ink");
  ctx.lineWidth = 2.5;
  ctx.beginPath();
  traceLine(ctx, lanes, row);
  ctx.stroke();
}

function traceLine(ctx: CanvasRenderingContext2D, lanes: readonly AxisLane[], row: number): void {
  for (const [index, lane] of lanes.entries()) {
    if (index) ctx.lineTo(lane.x, lane.positions[row]!);
    else ctx.moveTo(lane.x, lane.positions[row]!);
  }
}

function nearestLine(lanes: readonly AxisLane[], selected: Uint8Array, x: number, y: number): number {
  const right = Math.min(
    Math.max(
      lanes.findIndex((lane) => lane.x >= x),
      1,
    ),
    lanes.length - 1,
  );
  const [a, b] = [lanes[right - 1], lanes[right]];
  if (!a || !b || x < a.x - NEAR_PX || x > b.x + NEAR_PX) return -1;
  const share = Math.min(Math.max((x - a.x) / (b.x - a.x || 1), 0), 1);
  let found = -1;
  let least = NEAR_PX;
  for (let row = 0; row < selected.length; row++) {
    if (!selected[row]) continue;
    const distance = Math.abs(a.positions[row]! * (1 - share) + b.positions[row]! * share - y);
    if (distance < least) [least, found] = [distance, row];
  }
  return found;
}

function shortenText(text: string): string {
  const letters = [...text];
  return letters.length > 11 ? `${letters.slice(0, 10).join("")}…` : text;
}
