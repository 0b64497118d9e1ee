// What a chart shows of the pointer, over itself or over another chart: written once a frame, nothing read from the page.
import type uPlot from "uplot";
import { type Hover, hoverAt, onHover } from "./hoverSync";
import type { Line, XAxis } from "./lines";
import { pointedAt } from "./nearestPoints";
import { Overlay } from "./overlay";
import { Tip } from "./tooltip";

export interface Pointer {
  /** A run that is pointed at elsewhere on the page: its line stands out. */
  lift: (line: string | null) => void;
  /** After the chart was drawn anew. */
  refresh: () => void;
  end: () => void;
}

/** `parent`: as large as the chart, above it. `latest`: what is drawn now. */
export function followPointer(
  u: uPlot,
  parent: HTMLElement,
  latest: () => { lines: readonly Line[]; axis: XAxis },
): Pointer {
  const overlay = new Overlay(u, parent);
  const tip = new Tip();
  const mark = document.createElement("div");
  mark.className = "crosshair";
  u.over.append(mark);
  const crosshair = crosshairOf(u, mark);
  let elsewhere: string | null = null;
  let own = false;
  let digit = 0;
  const leave = () => {
    if (!own) return;
    own = false;
    overlay.mark(null);
    overlay.lift(latest().lines, elsewhere);
    tip.hide();
  };
  const show = ({ x, source }: Hover) => {
    crosshair(x);
    if (x === null || source !== u) return leave();
    own = true;
    const { lines, axis } = latest();
    const pointed = pointedAt(u, lines, x);
    overlay.mark(pointed);
    overlay.lift(lines, pointed?.nearest?.line.id ?? null);
    if (!pointed) return tip.hide();
    digit ||= digitOf(parent);
    tip.show(pointed, axis, { left: u.rect.left - u.bbox.left / devicePixelRatio, windowWidth: innerWidth, digit });
    if (!tip.element.isConnected) parent.append(tip.element);
  };
  const unhover = onHover(show);
  u.over.addEventListener("pointerleave", () => hoverAt(null, u));
  return {
    lift: (line) => {
      elsewhere = line;
      if (!own) overlay.lift(latest().lines, line);
    },
    refresh: () => overlay.refresh(latest().lines),
    end: () => {
      unhover();
      hoverAt(null, u);
      overlay.remove();
      tip.hide();
    },
  };
}

/** Moves the line at the pointer; where the axis does not reach it is hidden. The line is the background of an element that
 * covers the plot: to move an element makes Chromium gather all layers of the page anew, 1 ms and more a frame. */
function crosshairOf(u: uPlot, mark: HTMLElement): (x: number | null) => void {
  let shown = -1;
  mark.hidden = true;
  return (x) => {
    const at = x === null ? -1 : Math.round(u.valToPos(x, "x"));
    const left = at >= 0 && at <= u.bbox.width / devicePixelRatio ? at : -1;
    if (left === shown) return;
    if (left < 0 !== shown < 0) mark.hidden = left < 0;
    if (left >= 0) mark.style.backgroundPositionX = `${left}px`;
    shown = left;
  };
}

/** How wide a digit is in the tip, CSS pixels. */
function digitOf(parent: HTMLElement): number {
  const ctx = document.createElement("canvas").getContext("2d")!;
  const { fontFamily } = getComputedStyle(parent);
  ctx.font = `600 ${parseFloat(getComputedStyle(document.documentElement).fontSize) * 0.75}px ${fontFamily}`;
  return ctx.measureText("0").width;
}
