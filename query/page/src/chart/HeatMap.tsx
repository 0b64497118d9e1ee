// A heat map on a canvas: histograms over steps, or ranks over steps.
import { useEffect, useRef, useState } from "preact/hooks";
import { formatTick } from "../lib/format";
import { dark } from "../state/theme";

export interface Cell {
  x0: number;
  x1: number;
  y0: number;
  y1: number;
  /** From 0 to 1. NaN is drawn in a colour of its own. */
  heat: number;
  text: string;
}

interface HeatMapProps {
  cells: readonly Cell[];
  x: readonly [number, number];
  y: readonly [number, number];
  label: string;
  height?: number;
  /** Names of rows of equal height, the lowest first. Without them the y axis has numbers. */
  rows?: readonly string[];
}

const LEFT = 56;
const BOTTOM = 24;

export function HeatMap(props: HeatMapProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(600);
  const [tooltip, setTooltip] = useState<{ left: number; top: number; text: string } | null>(null);
  const height = props.height ?? 240;
  const isDark = dark.value;
  useEffect(() => {
    const box = canvas.current!.parentElement!;
    const resized = new ResizeObserver(() => setWidth(box.clientWidth));
    resized.observe(box);
    return () => resized.disconnect();
  }, []);
  const toX = (value: number) => LEFT + ((value - props.x[0]) / (props.x[1] - props.x[0] || 1)) * (width - LEFT - 8);
  const toY = (value: number) => (height - BOTTOM) * (1 - (value - props.y[0]) / (props.y[1] - props.y[0] || 1));
  // biome-ignore lint/correctness/useExhaustiveDependencies: new cells come with all else that is drawn
  useEffect(() => {
    const element = canvas.current!;
    element.width = width * devicePixelRatio;
    element.height = height * devicePixelRatio;
    const ctx = element.getContext("2d")!;
    const style = getComputedStyle(element);
    ctx.scale(devicePixelRatio, devicePixelRatio);
    ctx.clearRect(0, 0, width, height);
    for (const cell of props.cells) {
      ctx.fillStyle = Number.isNaN(cell.heat) ? style.getPropertyValue("--bad") : heatColor(cell.heat, isDark);
      const left = Math.floor(toX(cell.x0));
      const top = Math.floor(toY(cell.y1));
      ctx.fillRect(left, top, Math.max(Math.ceil(toX(cell.x1)) - left, 1), Math.max(Math.ceil(toY(cell.y0)) - top, 1));
    }
    ctx.fillStyle = style.getPropertyValue("--quiet");
    ctx.font = `11px ${style.fontFamily}`;
    ctx.textAlign = "right";
    ctx.textBaseline = "middle";
    for (const [value, text] of yLabels(props))
      ctx.fillText(text, LEFT - 8, Math.min(Math.max(toY(value), 7), height - BOTTOM - 5));
    ctx.textAlign = "center";
    for (let i = 0; i <= 4; i++) {
      const value = props.x[0] + ((props.x[1] - props.x[0]) * i) / 4;
      ctx.fillText(formatTick(Math.round(value)), Math.min(Math.max(toX(value), LEFT + 8), width - 24), height - 9);
    }
  }, [props.cells, width, height, isDark]);
  const onPointerMove = (event: PointerEvent) => {
    const box = canvas.current!.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    const x = props.x[0] + ((px - LEFT) / (width - LEFT - 8)) * (props.x[1] - props.x[0]);
    const y = props.y[0] + (1 - py / (height - BOTTOM)) * (props.y[1] - props.y[0]);
    const cell = props.cells.find((item) => x >= item.x0 && x < item.x1 && y >= item.y0 && y < item.y1);
    setTooltip(cell ? { left: px, top: py, text: cell.text } : null);
  };
  return (
    <div class="heat-map" role="img" aria-label={props.label}>
      <canvas
        ref={canvas}
        style={{ width: `${width}px`, height: `${height}px` }}
        onPointerMove={onPointerMove}
        onPointerLeave={() => setTooltip(null)}
      />
      {tooltip && (
        <div
          class="tip fixed"
          style={
            tooltip.left > width / 2
              ? { right: `${width - tooltip.left + 12}px`, top: `${tooltip.top}px` }
              : { left: `${tooltip.left + 12}px`, top: `${tooltip.top}px` }
          }
        >
          {tooltip.text}
        </div>
      )}
    </div>
  );
}

/** Return positions on the y axis and their labels. */
function yLabels({ rows, y }: HeatMapProps): [number, string][] {
  if (!rows)
    return [0, 1, 2, 3, 4]
      .map((i) => y[0] + ((y[1] - y[0]) * i) / 4)
      .map((value) => [value, formatTick(Number(value.toPrecision(3)))]);
  const every = Math.ceil(rows.length / 12);
  return rows.flatMap((name, i) => (i % every ? [] : [[i + 0.5, name]])) as [number, string][];
}

/** The legend of the colours, from the lowest value to the highest. */
export function HeatScale({ low, high }: { low: string; high: string }) {
  const isDark = dark.value;
  const stops = [0.06, 0.3, 0.55, 0.8, 1].map((share) => heatColor(share, isDark)).join(", ");
  return (
    <span class="heat-scale">
      {low} <i role="img" aria-label="to" style={{ background: `linear-gradient(to right, ${stops})` }} /> {high}
    </span>
  );
}

/** Return the colour of a heat. There is one hue, so that it can be read without colour. */
export function heatColor(heat: number, isDark: boolean): string {
  const share = Math.min(Math.max(heat, 0), 1);
  return isDark
    ? `oklch(${0.24 + 0.62 * share} ${0.03 + 0.11 * share} ${255 - 60 * share})`
    : `oklch(${0.97 - 0.6 * share} ${0.02 + 0.13 * share} ${230 + 35 * share})`;
}
