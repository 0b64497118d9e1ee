// What the pointer changes in a chart, on canvases above it, so that the curves are not drawn again.
import type uPlot from "uplot";
import { drawHighlighted } from "./draw";
import type { Line } from "./lines";
import type { NearestPoints } from "./nearestPoints";

const DOT_PX = 3.5;
const STRONG_DOT_PX = 5;

export class Overlay {
  private readonly highlightCanvas = createCanvas("lifted");
  private readonly dotCanvas = createCanvas("dots");
  private highlighted: string | null = null;
  private color = "";

  /** The canvases are in the document only while they show something. */
  constructor(
    private readonly u: uPlot,
    private readonly parent: HTMLElement,
  ) {}

  /**
   * The background of the panel. It is read when needed, because reading it makes the browser compute the styles of
   * the whole page.
   */
  private get surface(): string {
    this.color ||= getComputedStyle(this.parent).getPropertyValue("--surface").trim();
    return this.color;
  }

  /** Highlight the line with this id and fade the others; null highlights none. */
  highlight(lines: readonly Line[], highlighted: string | null): void {
    if (highlighted !== this.highlighted) this.draw(lines, highlighted);
  }

  /** Draw again after the chart was drawn: its scales or lines may have changed. */
  refresh(lines: readonly Line[]): void {
    if (this.highlighted !== null) this.draw(lines, this.highlighted);
  }

  private draw(lines: readonly Line[], highlighted: string | null): void {
    this.highlighted = highlighted;
    const line = highlighted === null ? undefined : lines.find((item) => item.id === highlighted);
    if (line) drawHighlighted(this.clearedContext(this.highlightCanvas), this.u, lines, line, this.surface);
    else this.highlightCanvas.remove();
  }

  /** Draw a dot on each line at the pointer. */
  mark(points: NearestPoints | null): void {
    if (!points) {
      this.dotCanvas.remove();
      return;
    }
    const { u } = this;
    const ctx = this.clearedContext(this.dotCanvas);
    ctx.strokeStyle = this.surface;
    ctx.lineWidth = devicePixelRatio;
    const { left, top, height } = u.bbox;
    for (const entry of points.entries) {
      const y = u.valToPos(entry.value, "y", true);
      if (!Number.isFinite(y) || y < top || y > top + height) continue;
      ctx.fillStyle = entry.line.color;
      ctx.beginPath();
      ctx.arc(
        left + u.valToPos(entry.line.xs[entry.index]!, "x") * devicePixelRatio,
        y,
        (entry === points.nearest ? STRONG_DOT_PX : DOT_PX) * devicePixelRatio,
        0,
        2 * Math.PI,
      );
      ctx.fill();
      ctx.stroke();
    }
  }

  remove(): void {
    this.highlightCanvas.remove();
    this.dotCanvas.remove();
  }

  /** Return the context of a canvas that is empty, in the document, and as large as the chart. */
  private clearedContext(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
    const { width, height } = this.u.ctx.canvas;
    const ctx = canvas.getContext("2d")!;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    else ctx.clearRect(0, 0, width, height);
    if (!canvas.isConnected) this.parent.append(canvas);
    return ctx;
  }
}

function createCanvas(name: string): HTMLCanvasElement {
  const element = document.createElement("canvas");
  element.className = `chart-over ${name}`;
  return element;
}
