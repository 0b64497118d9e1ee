// Parallel coordinates: a line for each run or trial over axes of parameters and metrics; ranges on axes choose some.
// Lines are on canvases, so that thousands stay smooth: all of them, faint, drawn once; those that are chosen; the one
// under the pointer. Axes and ranges are SVG.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { go } from "../state/route";
import { dark } from "../state/theme";
import { AxisBrush } from "./AxisBrush";
import { type Brushes, chosen, withBrush } from "./brushes";
import { ink, opacity, prepared } from "./canvas";
import { NO_SHADE, ramp, SHADES } from "./colorRamp";
import { PointTooltip } from "./PointTooltip";
import { type Column, canBeLog, type Rows } from "./plotColumns";
import { scaleOf } from "./plotScales";
import { useWidth } from "./useWidth";

const HEIGHT = 300;
const BOTTOM = 26;
const SIDE = 64;
const NARROWEST = 104;
const NEAR_PX = 12;

export interface ParallelProps {
  rows: Rows;
  axes: readonly Column[];
  isLog: (column: Column) => boolean;
  flipLog: (column: Column) => void;
  brushes: Brushes;
  setBrushes: (brushes: Brushes) => void;
  /** A shade for each row; see `shadesOf`. */
  shades: Uint8Array;
  label: string;
}

export function Parallel(props: ParallelProps) {
  const { rows, axes, brushes } = props;
  const [host, room] = useWidth();
  const [back, canvas, front] = [
    useRef<HTMLCanvasElement>(null),
    useRef<HTMLCanvasElement>(null),
    useRef<HTMLCanvasElement>(null),
  ];
  const [hover, setHover] = useState<{ row: number; x: number; y: number } | null>(null);
  const moving = useRef<Brushes | null>(null);
  const frame = useRef(0);
  const isDark = dark.value;
  const width = Math.max(room, SIDE * 2 + (axes.length - 1) * NARROWEST);
  const logs = axes.map(props.isLog).join();
  const lanes = useMemo(() => lanesOf(axes, props.isLog, width), [axes, logs, width]);
  const count = rows.ids.length;

  const draw = () => {
    const ctx = prepared(canvas.current, width, HEIGHT + BOTTOM);
    if (ctx)
      drawChosen(
        ctx,
        canvas.current!,
        lanes,
        chosen(axes, moving.current ?? brushes, count),
        props.shades,
        ramp(isDark),
      );
  };
  useEffect(() => {
    const ctx = prepared(back.current, width, HEIGHT + BOTTOM);
    if (ctx) drawAll(ctx, back.current!, lanes, count);
  }, [lanes, isDark]);
  useEffect(draw, [lanes, brushes, props.shades, isDark]);
  useEffect(() => {
    const ctx = prepared(front.current, width, HEIGHT + BOTTOM);
    if (ctx && hover) drawOne(ctx, front.current!, lanes, hover.row);
  }, [lanes, isDark, hover?.row]);
  useEffect(() => () => cancelAnimationFrame(frame.current), []);

  const move = (field: string, range: readonly [number, number] | null, done: boolean) => {
    const next = withBrush(moving.current ?? brushes, field, range);
    moving.current = done ? null : next;
    if (done) return props.setBrushes(next);
    cancelAnimationFrame(frame.current);
    frame.current = requestAnimationFrame(draw);
  };
  const look = (event: PointerEvent) => {
    if (moving.current) return;
    const box = canvas.current!.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const row = nearestLine(lanes, chosen(axes, brushes, count), x, y);
    setHover(row < 0 ? null : { row, x, y });
  };
  const open = () => hover && rows.links[hover.row] && go(rows.links[hover.row]!);
  return (
    <div class="parallel" ref={host}>
      <div class="scrolled" tabIndex={0} role="region" aria-label={props.label}>
        <div class="parallel-heads" style={{ width: `${width}px` }}>
          {lanes.map(({ column, x }) => (
            <div
              key={column.field}
              class="axis-head"
              style={{ left: `${x - NARROWEST / 2}px`, width: `${NARROWEST}px` }}
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
        <div
          class="parallel-plot"
          style={{ width: `${width}px`, height: `${HEIGHT + BOTTOM}px` }}
          onPointerMove={look}
          onPointerLeave={() => setHover(null)}
          onClick={open}
        >
          {[back, canvas, front].map((one, at) => (
            <canvas key={at} ref={one} style={{ width: `${width}px`, height: `${HEIGHT + BOTTOM}px` }} />
          ))}
          <svg
            width={width}
            height={HEIGHT + BOTTOM}
            role="img"
            aria-label={`${props.label}: ${count} lines over ${axes.map((axis) => axis.title).join(", ")}`}
          >
            {lanes.map((lane, at) => (
              <g key={lane.column.field} transform={`translate(${lane.x},6)`}>
                <line class="axis-line" y2={PLOT} />
                {lane.scale.ticks.map((tick) => (
                  <text
                    key={tick.at}
                    class="axis-text"
                    x={at === lanes.length - 1 ? 7 : -7}
                    y={tick.at}
                    text-anchor={at === lanes.length - 1 ? "start" : "end"}
                    dominant-baseline="middle"
                  >
                    {shortened(tick.text)}
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
                  range={brushes.get(lane.column.field)}
                  move={(range, done) => move(lane.column.field, range, done)}
                />
              </g>
            ))}
          </svg>
          {hover && <PointTooltip rows={rows} axes={axes} row={hover.row} x={hover.x} y={hover.y} width={width} />}
        </div>
      </div>
    </div>
  );
}

const PLOT = HEIGHT - 6;

interface Lane {
  column: Column;
  x: number;
  scale: ReturnType<typeof scaleOf>;
  /** Pixels from the top, one a row. */
  places: Float32Array;
  missing: boolean;
}

function lanesOf(axes: readonly Column[], isLog: (column: Column) => boolean, width: number): Lane[] {
  const gap = axes.length > 1 ? (width - SIDE * 2) / (axes.length - 1) : 0;
  return axes.map((column, at) => {
    const scale = scaleOf(column, isLog(column), PLOT, 0, 26);
    const places = Float32Array.from(column.values, (value) => scale.at(value) + 6);
    const missing = places.some(Number.isNaN);
    for (let row = 0; row < places.length; row++) if (Number.isNaN(places[row]!)) places[row] = PLOT + 16;
    return { column, x: SIDE + at * gap, scale, places, missing };
  });
}

function drawAll(ctx: CanvasRenderingContext2D, element: Element, lanes: readonly Lane[], count: number): void {
  ctx.globalAlpha = Math.min(opacity(count), 0.5);
  ctx.strokeStyle = ink(element, "--line");
  ctx.beginPath();
  for (let row = 0; row < count; row++) trace(ctx, lanes, row);
  ctx.stroke();
}

/** By shade, the best on top. Lines of one shade are one path. */
function drawChosen(
  ctx: CanvasRenderingContext2D,
  element: Element,
  lanes: readonly Lane[],
  kept: Uint8Array,
  shades: Uint8Array,
  colors: readonly string[],
): void {
  const byShade: number[][] = Array.from({ length: SHADES + 1 }, () => []);
  for (let row = 0; row < kept.length; row++)
    if (kept[row]) byShade[shades[row] === NO_SHADE ? 0 : shades[row]! + 1]!.push(row);
  ctx.lineJoin = "round";
  ctx.lineWidth = 1.3;
  ctx.globalAlpha = opacity(byShade.reduce((sum, rows) => sum + rows.length, 0));
  byShade.forEach((rows, at) => {
    if (!rows.length) return;
    ctx.strokeStyle = at === 0 ? ink(element, "--field") : colors[at - 1]!;
    ctx.beginPath();
    for (const row of rows) trace(ctx, lanes, row);
    ctx.stroke();
  });
}

function drawOne(ctx: CanvasRenderingContext2D, element: Element, lanes: readonly Lane[], row: number): void {
  ctx.strokeStyle = ink(element, "--ink");
  ctx.lineWidth = 2.5;
  ctx.beginPath();
  trace(ctx, lanes, row);
  ctx.stroke();
}

function trace(ctx: CanvasRenderingContext2D, lanes: readonly Lane[], row: number): void {
  lanes.forEach((lane, at) => (at ? ctx.lineTo(lane.x, lane.places[row]!) : ctx.moveTo(lane.x, lane.places[row]!)));
}

function nearestLine(lanes: readonly Lane[], kept: Uint8Array, x: number, y: number): number {
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
  for (let row = 0; row < kept.length; row++) {
    if (!kept[row]) continue;
    const distance = Math.abs(a.places[row]! * (1 - share) + b.places[row]! * share - y);
    if (distance < least) [least, found] = [distance, row];
  }
  return found;
}

function shortened(text: string): string {
  const letters = [...text];
  return letters.length > 11 ? `${letters.slice(0, 10).join("")}…` : text;
}
