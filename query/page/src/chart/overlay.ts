// What a pointer changes of a chart, on canvases above it: the curves below are not drawn again.
import type uPlot from "uplot";
import { drawStrong } from "./draw";
import type { Line } from "./lines";
import type { Pointed } from "./nearestPoints";

const DOT_PX = 3.5;
const STRONG_DOT_PX = 5;

export class Overlay {
  private readonly lifted = canvas("lifted");
  private readonly dots = canvas("dots");
  private strong: string | null = null;
  private color = "";

  /** The canvases are in the page only while they have something to show. */
  constructor(
    private readonly u: uPlot,
    private readonly parent: HTMLElement,
  ) {}

  /** The panel's colour: asked for when it is needed, as that makes the browser compute the styles of the whole page. */
  private get surface(): string {
    return (this.color ||= getComputedStyle(this.parent).getPropertyValue("--surface").trim());
  }

  /** The line with this id stands out, the others fade; null: none. */
  lift(lines: readonly Line[], strong: string | null): void {
    if (strong !== this.strong) this.draw(lines, strong);
  }

  /** After the chart was drawn anew: its scales or lines may have changed. */
  refresh(lines: readonly Line[]): void {
    if (this.strong !== null) this.draw(lines, this.strong);
  }

  private draw(lines: readonly Line[], strong: string | null): void {
    this.strong = strong;
    const line = strong === null ? undefined : lines.find((one) => one.id === strong);
    if (!line) return this.lifted.remove();
    drawStrong(this.cleared(this.lifted), this.u, lines, line, this.surface);
  }

  /** A dot on each line where the pointer is. */
  mark(pointed: Pointed | null): void {
    if (!pointed) return this.dots.remove();
    const { u } = this;
    const ctx = this.cleared(this.dots);
    ctx.strokeStyle = this.surface;
    ctx.lineWidth = devicePixelRatio;
    const { left, top, height } = u.bbox;
    for (const entry of pointed.entries) {
      const y = u.valToPos(entry.value, "y", true);
      if (!Number.isFinite(y) || y < top || y > top + height) continue;
      ctx.fillStyle = entry.line.color;
      ctx.beginPath();
      ctx.arc(
        left + u.valToPos(entry.line.xs[entry.at]!, "x") * devicePixelRatio,
        y,
        (entry === pointed.nearest ? STRONG_DOT_PX : DOT_PX) * devicePixelRatio,
        0,
        2 * Math.PI,
      );
      ctx.fill();
      ctx.stroke();
    }
  }

  remove(): void {
    this.lifted.remove();
    this.dots.remove();
  }

  /** Empty, in the page, and as large as the chart. */
  private cleared(own: HTMLCanvasElement): CanvasRenderingContext2D {
    const { width, height } = this.u.ctx.canvas;
    const ctx = own.getContext("2d")!;
    if (own.width !== width || own.height !== height) Object.assign(own, { width, height });
    else ctx.clearRect(0, 0, width, height);
    if (!own.isConnected) this.parent.append(own);
    return ctx;
  }
}

function canvas(name: string): HTMLCanvasElement {
  const made = document.createElement("canvas");
  made.className = `chart-over ${name}`;
  return made;
}
