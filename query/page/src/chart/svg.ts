// A panel as an SVG document, with paths from the data, at the size on the screen. Pure.
import { formatDuration, formatTick } from "../lib/format";
import type { Range } from "../lib/range";
import { DURATION_DISTANCES, logTicks, WHOLE_DISTANCES, xRange, yRange } from "./axes";
import type { Line, XAxisMode } from "./lines";

export interface Drawing {
  title: string;
  lines: readonly Line[];
  axis: XAxisMode;
  log: boolean;
  robust: boolean;
  zoom: Range | null;
  width: number;
  height: number;
  colors: { ink: string; quiet: string; grid: string; surface: string };
}

interface Frame {
  x: (value: number) => number;
  y: (value: number) => number;
  left: number;
  top: number;
  right: number;
  bottom: number;
}

const TITLE_PX = 30;
const LEFT_PX = 56;
const AXIS_PX = 26;
const LEGEND_PX = 18;
const MAX_LEGEND = 30;

export function svgOf(drawing: Drawing): string {
  const { lines, width, height, colors } = drawing;
  const named = lines.slice(0, MAX_LEGEND);
  const all = height + named.length * LEGEND_PX + (named.length ? 8 : 0);
  const x = xRange(lines, drawing.zoom);
  const y = yRange(lines, x, drawing) ?? (drawing.log ? [1, 10] : [0, 1]);
  const frame = frameOf(drawing, x, y);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${all}" viewBox="0 0 ${width} ${all}"` +
      ` font-family="system-ui, sans-serif" font-size="11">`,
    `<title>${escapeXml(drawing.title)}</title>`,
    `<clipPath id="plot"><rect x="${frame.left}" y="${frame.top}" width="${frame.right - frame.left}"` +
      ` height="${frame.bottom - frame.top}"/></clipPath>`,
    `<rect width="100%" height="100%" fill="${escapeXml(colors.surface)}"/>`,
    `<text x="12" y="20" font-size="13" font-weight="600" fill="${escapeXml(colors.ink)}">${escapeXml(drawing.title)}</text>`,
    ...axes(drawing, frame, x, y),
    `<g clip-path="url(#plot)" stroke-linejoin="round" stroke-linecap="round">`,
    ...lines.flatMap((line) => band(line, frame, lines.length)),
    ...lines.flatMap((line) => curve(line, frame)),
    "</g>",
    ...named.map((line, index) => legend(line, height + index * LEGEND_PX + 10, colors.ink)),
    "</svg>",
    "",
  ].join("\n");
}

/** Escape text for XML: no markup, and no character that XML does not allow. */
export function escapeXml(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: XML forbids them
  const allowed = text.replace(/\p{Cs}/gu, "\ufffd").replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, "\ufffd");
  return allowed
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}

function frameOf({ width, height, log }: Drawing, x: Range, y: Range): Frame {
  const [left, top, right, bottom] = [LEFT_PX, TITLE_PX, width - 12, height - AXIS_PX];
  const share = (value: number, [low, high]: Range) => (value - low) / (high - low || 1);
  const logs: Range = [Math.log10(y[0]), Math.log10(y[1])];
  return {
    left,
    top,
    right,
    bottom,
    x: (value) => left + share(value, x) * (right - left),
    y: (value) => bottom - (log ? share(Math.log10(value), logs) : share(value, y)) * (bottom - top),
  };
}

function axes({ axis, log, colors }: Drawing, frame: Frame, x: Range, y: Range): string[] {
  const quiet = `fill="${escapeXml(colors.quiet)}"`;
  const across = ticks(
    x,
    (frame.right - frame.left) / 80,
    axis === "step" ? WHOLE_DISTANCES : axis === "time" ? DURATION_DISTANCES : undefined,
  );
  const up = log ? logTicks(y) : ticks(y, (frame.bottom - frame.top) / 34);
  const grid = up.map((tick) => `M${px(frame.left)} ${px(frame.y(tick))}H${px(frame.right)}`).join("");
  return [
    `<path d="${grid}" stroke="${escapeXml(colors.grid)}" fill="none"/>`,
    ...up.map(
      (tick) =>
        `<text x="${frame.left - 8}" y="${px(frame.y(tick) + 4)}" text-anchor="end" ${quiet}>${formatTick(tick)}</text>`,
    ),
    ...across.map(
      (tick) =>
        `<text x="${px(frame.x(tick))}" y="${frame.bottom + 16}" text-anchor="middle" ${quiet}>` +
        `${escapeXml(tickText(tick, axis, x[1] - x[0]))}</text>`,
    ),
  ];
}

function tickText(tick: number, axis: XAxisMode, span: number): string {
  if (axis === "time") return formatDuration(tick);
  if (axis !== "wall") return formatTick(tick);
  const text = new Date(tick * 1000).toISOString();
  return span > 3 * 86_400 ? text.slice(0, 10) : text.slice(11, 19);
}

/** Return round values within a range, about `wanted` of them. */
export function ticks([low, high]: Range, wanted: number, distances?: readonly number[]): number[] {
  const least = (high - low) / Math.max(wanted, 1);
  const power = 10 ** Math.floor(Math.log10(least));
  const distance =
    (distances ?? [1, 2, 5, 10].map((digit) => digit * power)).find((item) => item >= least * 0.999) ?? least;
  const found: number[] = [];
  for (let index = Math.ceil(low / distance); index * distance <= high && found.length < 100; index++)
    found.push(Number((index * distance).toPrecision(12)));
  return found;
}

function band(line: Line, frame: Frame, lines: number): string[] {
  if (!line.hasBand) return [];
  const edge = (values: Float64Array, index: number) =>
    `${px(frame.x(line.xs[index]!))} ${px(inside(frame.y(values[index]!), frame))}`;
  const paths = runs(line.xs.length, (index) => Number.isFinite(line.lows[index]!)).map(([from, to]) => {
    const up = Array.from({ length: to - from }, (_, i) => edge(line.highs, from + i));
    const down = Array.from({ length: to - from }, (_, i) => edge(line.lows, to - 1 - i));
    return `M${up.concat(down).join("L")}Z`;
  });
  return [
    `<path d="${paths.join("")}" fill="${escapeXml(line.color)}" fill-opacity="${(0.2 / lines ** 0.3).toFixed(3)}"/>`,
  ];
}

function curve(line: Line, frame: Frame): string[] {
  const color = escapeXml(line.color);
  const found = [];
  if (line.smoothed)
    found.push(...strokes(line, line.ys, frame, `stroke="${color}" stroke-opacity="0.28" fill="none"`, color));
  found.push(
    ...strokes(line, line.smoothed ?? line.ys, frame, `stroke="${color}" stroke-width="1.5" fill="none"`, color),
  );
  const y = frame.bottom - 5;
  const nonFinite = [...line.nonFinite].flatMap((count, index) => (count ? [px(frame.x(line.xs[index]!))] : []));
  const crosses = [...new Set(nonFinite)].map((x) => `M${x} ${y}m-3 -3l6 6m0 -6l-6 6`);
  if (crosses.length) found.push(`<path d="${crosses.join("")}" stroke="${color}" stroke-width="1.4" fill="none"/>`);
  return found;
}

/** Return the strokes of a line. NaN breaks it, and a single value is a dot, as are all values of a scatter plot. */
function strokes(line: Line, ys: Float64Array, frame: Frame, style: string, color: string): string[] {
  const index = (i: number) => `${px(frame.x(line.xs[i]!))} ${px(frame.y(ys[i]!))}`;
  const dot = (i: number) =>
    `<circle cx="${px(frame.x(line.xs[i]!))}" cy="${px(frame.y(ys[i]!))}" r="2.2" fill="${color}"/>`;
  const pieces = runs(line.xs.length, (i) => Number.isFinite(ys[i]!) && Number.isFinite(frame.y(ys[i]!)));
  const long = line.dots ? [] : pieces.filter(([from, to]) => to - from > 1);
  const alone = line.dots ? pieces : pieces.filter(([from, to]) => to - from === 1);
  const path = long
    .map(([from, to]) => `M${Array.from({ length: to - from }, (_, i) => index(from + i)).join("L")}`)
    .join("");
  return [
    ...(path ? [`<path d="${path}" ${style}/>`] : []),
    ...alone.flatMap(([from, to]) => Array.from({ length: to - from }, (_, i) => dot(from + i))),
  ];
}

function legend(line: Line, y: number, ink: string): string {
  const text = line.note ? `${line.label} · ${line.note}` : line.label;
  const mark = `<rect x="12" y="${y - 5}" width="10" height="10" rx="2" fill="${escapeXml(line.color)}"/>`;
  return `${mark}<text x="28" y="${y + 4}" fill="${escapeXml(ink)}">${escapeXml(text)}</text>`;
}

/** Return [from, to) of each stretch for which `holds` is true. */
function runs(length: number, holds: (index: number) => boolean): [number, number][] {
  const found: [number, number][] = [];
  for (let index = 0; index < length; index++) {
    if (!holds(index)) continue;
    const from = index;
    while (index < length && holds(index)) index++;
    found.push([from, index]);
  }
  return found;
}

/** Limit a position: on a logarithmic axis a band may reach down to zero. */
function inside(y: number, frame: Frame): number {
  return Number.isFinite(y) ? y : frame.bottom * 2;
}

function px(value: number): string {
  return String(Math.round(value * 10) / 10);
}
