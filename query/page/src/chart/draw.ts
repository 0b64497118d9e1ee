// Drawing lines on a uPlot canvas: each line has steps of its own, so uPlot keeps axes, cursor and zoom, and this the ink.
import type uPlot from "uplot";
import { lowerBound } from "../lib/range";
import type { Line } from "./series";

/** A spike is so many times higher than the band usually is. */
const SPIKE = 6;
/** Points of a panel up to which lines are strokes of full width: a software canvas draws hairlines 20 times faster. */
const FEW_POINTS = 700;
/** Buckets nearer together than this, CSS pixels, have bands of upright bars: 10 times faster, and the same picture. */
const DENSE_PX = 4;

/** Lines in order: the last on top. `strong`: the one the pointer is at, drawn last and thicker. */
export function drawLines(u: uPlot, lines: readonly Line[], strong: string | null): void {
  const { ctx } = u;
  const { left, top, width, height } = u.bbox;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  ctx.lineJoin = "round";
  ctx.lineCap = "round";
  const ordered = strong === null ? lines : [...lines.filter((line) => line.id !== strong), ...lines.filter((line) => line.id === strong)];
  const alpha = 0.2 / Math.pow(lines.length, 0.3);
  const fine = lines.reduce((sum, line) => sum + line.xs.length, 0) > FEW_POINTS;
  const x = placer(u, "x");
  const y = placer(u, "y");
  for (const line of ordered) drawBand(u, x, y, line, alpha * (strong !== null && line.id !== strong ? 0.5 : 1));
  for (const line of ordered) drawLine(u, x, y, line, strong === line.id, strong !== null && line.id !== strong, fine);
  ctx.restore();
}

type Place = (value: number) => number;

/** Where values lie on the canvas: as `u.valToPos`, which looks up its scale for each of them. */
function placer(u: uPlot, name: "x" | "y"): Place {
  const { min, max, distr } = u.scales[name]!;
  const low = u.valToPos(min!, name, true);
  const high = u.valToPos(max!, name, true);
  if (distr !== 3) {
    const factor = (high - low) / (max! - min!);
    return (value) => low + (value - min!) * factor;
  }
  const first = Math.log10(min!);
  const factor = (high - low) / (Math.log10(max!) - first);
  const below = low - factor; // what has no logarithm lies a power of ten below the axis
  return (value) => (value <= 0 ? below : low + (Math.log10(value) - first) * factor);
}

function seen(u: uPlot, line: Line): [number, number] {
  const { min, max } = u.scales["x"]!;
  return [Math.max(lowerBound(line.xs, min!) - 1, 0), Math.min(lowerBound(line.xs, max!) + 1, line.xs.length)];
}

function drawBand(u: uPlot, x: Place, place: Place, line: Line, alpha: number): void {
  if (!line.banded) return;
  const { ctx } = u;
  const [from, to] = seen(u, line);
  const floor = u.bbox.top + u.bbox.height * 2;
  const y = (value: number) => {
    const at = place(value);
    return Number.isFinite(at) ? at : floor;
  };
  ctx.fillStyle = line.color;
  ctx.globalAlpha = alpha * (line.smoothed ? 0.6 : 1);
  const dense = (u.bbox.width / devicePixelRatio) < (to - from) * DENSE_PX;
  (dense ? fillBars : fillBand)(u, x, y, line, from, to);
  drawSpikes(u, x, y, line, from, to);
  ctx.globalAlpha = 1;
}

function fillBand(u: uPlot, x: Place, y: Place, line: Line, from: number, to: number): void {
  const { ctx } = u;
  let at = from;
  while (at < to) {
    while (at < to && !Number.isFinite(line.lows[at]!)) at++;
    const begin = at;
    while (at < to && Number.isFinite(line.lows[at]!)) at++;
    if (at === begin) continue;
    ctx.beginPath();
    for (let i = begin; i < at; i++) ctx.lineTo(x(line.xs[i]!), y(line.highs[i]!));
    for (let i = at - 1; i >= begin; i--) ctx.lineTo(x(line.xs[i]!), y(line.lows[i]!));
    ctx.closePath();
    ctx.fill();
  }
}

/** Each bucket's band as a bar that reaches half-way to its neighbours, on whole pixels; buckets that share a pixel share
 * a bar, so that nothing is painted twice. */
function fillBars(u: uPlot, x: Place, y: Place, line: Line, from: number, to: number): void {
  const { ctx } = u;
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

/** A bucket with a spike is a few pixels of a faint band: drawn as a stroke, it is seen. */
function drawSpikes(u: uPlot, x: Place, y: Place, line: Line, from: number, to: number): void {
  const { ctx } = u;
  ctx.globalAlpha = 0.75;
  ctx.strokeStyle = line.color;
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  for (let i = from; i < to; i++) {
    if (!(line.highs[i]! - line.lows[i]! > SPIKE * line.usualHeight)) continue;
    const here = x(line.xs[i]!);
    ctx.moveTo(here, y(line.lows[i]!));
    ctx.lineTo(here, y(line.highs[i]!));
  }
  ctx.stroke();
}

function drawDots(u: uPlot, x: Place, place: Place, line: Line): void {
  const { ctx } = u;
  ctx.globalAlpha = 0.65;
  ctx.fillStyle = line.color;
  const [from, to] = seen(u, line);
  for (let i = from; i < to; i++) {
    const y = place(line.ys[i]!);
    if (!Number.isFinite(y)) continue;
    ctx.beginPath();
    ctx.arc(x(line.xs[i]!), y, 2.2 * devicePixelRatio, 0, 2 * Math.PI);
    ctx.fill();
  }
  ctx.globalAlpha = 1;
}

function drawLine(u: uPlot, x: Place, y: Place, line: Line, strong: boolean, faint: boolean, fine: boolean): void {
  if (line.dots) return drawDots(u, x, y, line);
  const { ctx } = u;
  const ratio = devicePixelRatio;
  ctx.strokeStyle = ctx.fillStyle = line.color;
  if (line.smoothed) {
    ctx.globalAlpha = faint ? 0.12 : 0.28;
    ctx.lineWidth = fine ? 1 : ratio;
    stroke(u, x, y, line, line.ys);
  }
  ctx.globalAlpha = faint ? 0.35 : 1;
  ctx.lineWidth = strong ? 2.4 * ratio : fine ? 1 : 1.5 * ratio;
  stroke(u, x, y, line, line.smoothed ?? line.ys);
  drawWrong(u, x, line);
  ctx.globalAlpha = 1;
}

/** NaN breaks the line; a value alone between two breaks is a dot. */
function stroke(u: uPlot, x: Place, place: Place, line: Line, ys: Float64Array): void {
  const { ctx } = u;
  const [from, to] = seen(u, line);
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
    const y = place(ys[i]!);
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

/** A small cross at the bottom where points are NaN or infinite: they are shown, not passed over. */
function drawWrong(u: uPlot, place: Place, line: Line): void {
  const { ctx } = u;
  const [from, to] = seen(u, line);
  const size = 3 * devicePixelRatio;
  const y = u.bbox.top + u.bbox.height - size - 2 * devicePixelRatio;
  let before = -Infinity;
  ctx.lineWidth = 1.4 * devicePixelRatio;
  ctx.beginPath();
  for (let i = from; i < to; i++) {
    if (!line.wrong[i]) continue;
    const x = place(line.xs[i]!);
    if (x - before < size * 2.4) continue;
    before = x;
    ctx.moveTo(x - size, y - size);
    ctx.lineTo(x + size, y + size);
    ctx.moveTo(x + size, y - size);
    ctx.lineTo(x - size, y + size);
  }
  ctx.stroke();
}
