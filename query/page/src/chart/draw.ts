// Drawing of lines on the canvas of uPlot. Each line has its own steps, so uPlot keeps axes, cursor and zoom, and this
// file draws the lines.
import type uPlot from "uplot";
import { lowerBound } from "../lib/range";
import type { Line } from "./lines";

/** A bucket is a spike if its band is so many times higher than usual. */
const SPIKE = 6;
/** Offsets in canvas pixels that make a highlighted line: hairlines beside each other look like a thick stroke. */
const THICK = [
  [0, 0],
  [1, 0],
  [0, 1],
] as const;
/** Up to so many points of a panel, lines have full width. A software canvas draws hairlines 20 times faster. */
const FEW_POINTS = 700;
/** If buckets are nearer than this, in CSS pixels, bands consist of bars: 10 times faster, and the same picture. */
const DENSE_PX = 4;

/** How much of the other lines remains visible behind a highlighted line. */
const FADED = 0.4;

interface Pen {
  ctx: CanvasRenderingContext2D;
  u: uPlot;
  x: Position;
  y: Position;
  /** Hairlines instead of full strokes. */
  fine: boolean;
}

/** Draw lines in order: the last is on top. */
export function drawLines(u: uPlot, lines: readonly Line[]): void {
  const fine = lines.reduce((sum, line) => sum + line.xs.length, 0) > FEW_POINTS;
  withinPlot(u, u.ctx, fine, (pen) => {
    const alpha = bandAlpha(lines);
    for (const line of lines) drawBand(pen, line, alpha);
    for (const line of lines) drawLine(pen, line, fine ? 1 : 1.5 * devicePixelRatio);
  });
}

/** Draw one line highlighted, on a canvas above the others: they fade into `surface`, and the line is thicker. */
export function drawHighlighted(
  ctx: CanvasRenderingContext2D,
  u: uPlot,
  lines: readonly Line[],
  line: Line,
  surface: string,
): void {
  const fine = line.xs.length > FEW_POINTS / 4;
  withinPlot(u, ctx, fine, (pen) => {
    ctx.fillStyle = surface;
    ctx.globalAlpha = 1 - FADED;
    ctx.fillRect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    drawBand(pen, line, bandAlpha(lines));
    if (!fine) return drawLine(pen, line, 2.4 * devicePixelRatio);
    for (const [right, down] of THICK) {
      ctx.setTransform(1, 0, 0, 1, right * devicePixelRatio, down * devicePixelRatio);
      drawLine(pen, line, 1);
    }
  });
}

/** Draw within the plot area. */
function withinPlot(u: uPlot, ctx: CanvasRenderingContext2D, fine: boolean, draw: (pen: Pen) => void): void {
  ctx.save();
  ctx.beginPath();
  ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
  ctx.clip();
  ctx.lineJoin = "round";
  ctx.lineCap = "round";
  draw({ ctx, u, x: positionFunction(u, "x"), y: positionFunction(u, "y"), fine });
  ctx.restore();
}

function bandAlpha(lines: readonly Line[]): number {
  return 0.2 / lines.length ** 0.3;
}

type Position = (value: number) => number;

/** Return the position of values on the canvas. `u.valToPos` does the same, but looks up its scale for each value. */
function positionFunction(u: uPlot, name: "x" | "y"): Position {
  const { min, max, distr } = u.scales[name]!;
  const low = u.valToPos(min!, name, true);
  const high = u.valToPos(max!, name, true);
  if (distr !== 3) {
    const factor = (high - low) / (max! - min!);
    return (value) => low + (value - min!) * factor;
  }
  const first = Math.log10(min!);
  const factor = (high - low) / (Math.log10(max!) - first);
  const below = low - factor; // values without a logarithm lie a power of ten below the axis
  return (value) => (value <= 0 ? below : low + (Math.log10(value) - first) * factor);
}

function visibleRange(u: uPlot, line: Line): [number, number] {
  const { min, max } = u.scales.x!;
  return [Math.max(lowerBound(line.xs, min!) - 1, 0), Math.min(lowerBound(line.xs, max!) + 1, line.xs.length)];
}

function drawBand(pen: Pen, line: Line, alpha: number): void {
  if (!line.hasBand) return;
  const { ctx, u, y: position } = pen;
  const [from, to] = visibleRange(u, line);
  const floor = u.bbox.top + u.bbox.height * 2;
  const y = (value: number) => {
    const index = position(value);
    return Number.isFinite(index) ? index : floor;
  };
  const floored = { ...pen, y };
  ctx.fillStyle = line.color;
  ctx.globalAlpha = alpha * (line.smoothed ? 0.6 : 1);
  const dense = u.bbox.width / devicePixelRatio < (to - from) * DENSE_PX;
  (dense ? fillBars : fillBand)(floored, line, from, to);
  drawSpikes(floored, line, from, to);
  ctx.globalAlpha = 1;
}

function fillBand({ ctx, x, y }: Pen, line: Line, from: number, to: number): void {
  let index = from;
  while (index < to) {
    while (index < to && !Number.isFinite(line.lows[index]!)) index++;
    const begin = index;
    while (index < to && Number.isFinite(line.lows[index]!)) index++;
    if (index === begin) continue;
    ctx.beginPath();
    for (let i = begin; i < index; i++) ctx.lineTo(x(line.xs[i]!), y(line.highs[i]!));
    for (let i = index - 1; i >= begin; i--) ctx.lineTo(x(line.xs[i]!), y(line.lows[i]!));
    ctx.closePath();
    ctx.fill();
  }
}

/**
 * Fill the band as bars that reach half-way to their neighbours, on whole pixels. Buckets on the same pixel share a
 * bar, so that nothing is painted twice.
 */
function fillBars({ ctx, x, y }: Pen, line: Line, from: number, to: number): void {
  const edge = (i: number) => Math.round(i < to ? (x(line.xs[i - 1]!) + x(line.xs[i]!)) / 2 : x(line.xs[i - 1]!));
  let left = from < to ? Math.round(x(line.xs[from]!)) : 0;
  let top = Infinity;
  let bottom = -Infinity;
  for (let i = from; i < to; i++) {
    const right = edge(i + 1);
    if (Number.isFinite(line.lows[i]!)) {
      top = Math.min(top, y(line.highs[i]!));
      bottom = Math.max(bottom, y(line.lows[i]!));
    }
    const last = i + 1 === to || !Number.isFinite(line.lows[i + 1]!);
    if (right === left && !last) continue;
    if (top <= bottom) ctx.fillRect(left, top, Math.max(right - left, 1), bottom - top);
    [left, top, bottom] = [right, Infinity, -Infinity];
  }
}

/** Draw spikes as strokes: in a faint band a spike of a few pixels would not be visible. */
function drawSpikes({ ctx, x, y }: Pen, line: Line, from: number, to: number): void {
  ctx.globalAlpha = 0.75;
  ctx.strokeStyle = line.color;
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  for (let i = from; i < to; i++) {
    if (!(line.highs[i]! - line.lows[i]! > SPIKE * line.typicalHeight)) continue;
    const here = x(line.xs[i]!);
    ctx.moveTo(here, y(line.lows[i]!));
    ctx.lineTo(here, y(line.highs[i]!));
  }
  ctx.stroke();
}

function drawDots({ ctx, u, x, y: position }: Pen, line: Line): void {
  ctx.globalAlpha = 0.65;
  ctx.fillStyle = line.color;
  const [from, to] = visibleRange(u, line);
  for (let i = from; i < to; i++) {
    const y = position(line.ys[i]!);
    if (!Number.isFinite(y)) continue;
    ctx.beginPath();
    ctx.arc(x(line.xs[i]!), y, 2.2 * devicePixelRatio, 0, 2 * Math.PI);
    ctx.fill();
  }
  ctx.globalAlpha = 1;
}

/** `width`: canvas pixels. */
function drawLine(pen: Pen, line: Line, width: number): void {
  if (line.dots) {
    drawDots(pen, line);
    return;
  }
  const { ctx } = pen;
  ctx.strokeStyle = ctx.fillStyle = line.color;
  if (line.smoothed) {
    ctx.globalAlpha = 0.28;
    ctx.lineWidth = pen.fine ? 1 : devicePixelRatio;
    stroke(pen, line, line.ys);
  }
  ctx.globalAlpha = 1;
  ctx.lineWidth = width;
  stroke(pen, line, line.smoothed ?? line.ys);
  drawNonFinite(pen, line);
  ctx.globalAlpha = 1;
}

/** Draw a line. NaN breaks it, and a single value between two breaks is a dot. */
function stroke({ ctx, u, x, y: position }: Pen, line: Line, ys: Float64Array): void {
  const [from, to] = visibleRange(u, line);
  let length = 0;
  let lastX = 0;
  let lastY = 0;
  const end = () => {
    if (length === 1) {
      ctx.beginPath();
      ctx.arc(lastX, lastY, 2.2 * devicePixelRatio, 0, 2 * Math.PI);
      ctx.fill();
    } else if (length > 1) ctx.stroke();
    length = 0;
  };
  for (let i = from; i < to; i++) {
    const y = position(ys[i]!);
    if (!Number.isFinite(ys[i]!) || !Number.isFinite(y)) {
      end();
      continue;
    }
    lastX = x(line.xs[i]!);
    lastY = y;
    if (length++ === 0) ctx.beginPath();
    ctx.lineTo(lastX, lastY);
  }
  end();
}

/** Draw a small cross at the bottom where points are NaN or infinite, so that nobody overlooks them. */
function drawNonFinite({ ctx, u, x: position }: Pen, line: Line): void {
  const [from, to] = visibleRange(u, line);
  const size = 3 * devicePixelRatio;
  const y = u.bbox.top + u.bbox.height - size - 2 * devicePixelRatio;
  let lastMark = -Infinity;
  ctx.lineWidth = 1.4 * devicePixelRatio;
  ctx.beginPath();
  for (let i = from; i < to; i++) {
    if (!line.nonFinite[i]) continue;
    const x = position(line.xs[i]!);
    if (x - lastMark < size * 2.4) continue;
    lastMark = x;
    ctx.moveTo(x - size, y - size);
    ctx.lineTo(x + size, y + size);
    ctx.moveTo(x + size, y - size);
    ctx.lineTo(x - size, y + size);
  }
  ctx.stroke();
}
