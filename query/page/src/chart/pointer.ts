// What a chart shows at the pointer, over itself or over another chart. It writes once a frame and reads nothing from
// the document.
import type uPlot from "uplot";
import { type Hover, hoverAt, onHover } from "./hoverSync";
import type { Line, XAxisMode } from "./lines";
import { nearestPointsAt } from "./nearestPoints";
import { Overlay } from "./overlay";
import { Tooltip } from "./tooltip";

export interface Pointer {
  /** Highlights the line of a run that the pointer is over elsewhere on the page. */
  highlight: (line: string | null) => void;
  /** To be called after the chart was drawn again. */
  refresh: () => void;
  end: () => void;
}

/** `parent`: an element above the chart, of the same size. `latest`: returns what is drawn now. */
export function followPointer(
  u: uPlot,
  parent: HTMLElement,
  latest: () => { lines: readonly Line[]; axis: XAxisMode },
): Pointer {
  const overlay = new Overlay(u, parent);
  const tip = new Tooltip();
  const lineElement = document.createElement("div");
  lineElement.className = "crosshair";
  u.over.append(lineElement);
  const crosshair = crosshairOf(u, lineElement);
  let highlightedElsewhere: string | null = null;
  let isUnderPointer = false;
  let digitWidth = 0;
  const onLeave = () => {
    if (!isUnderPointer) return;
    isUnderPointer = false;
    overlay.mark(null);
    overlay.highlight(latest().lines, highlightedElsewhere);
    tip.hide();
  };
  const show = ({ x, source }: Hover) => {
    crosshair(x);
    if (x === null || source !== u) return onLeave();
    isUnderPointer = true;
    const { lines, axis } = latest();
    const points = nearestPointsAt(u, lines, x);
    overlay.mark(points);
    overlay.highlight(lines, points?.nearest?.line.id ?? null);
    if (!points) return tip.hide();
    digitWidth ||= measureDigit(parent);
    tip.show(points, axis, {
      left: u.rect.left - u.bbox.left / devicePixelRatio,
      windowWidth: innerWidth,
      digit: digitWidth,
    });
    if (!tip.element.isConnected) parent.append(tip.element);
  };
  const stopHover = onHover(show);
  u.over.addEventListener("pointerleave", () => hoverAt(null, u));
  return {
    highlight: (line) => {
      highlightedElsewhere = line;
      if (!isUnderPointer) overlay.highlight(latest().lines, line);
    },
    refresh: () => overlay.refresh(latest().lines),
    end: () => {
      stopHover();
      hoverAt(null, u);
      overlay.remove();
      tip.hide();
    },
  };
}

/**
 * Return a function that moves the vertical line at the pointer and hides it outside of the axis. The line is the
 * background of an element over the plot: moving an element would make Chromium compute all layers of the page again,
 * 1 ms or more a frame.
 */
function crosshairOf(u: uPlot, lineElement: HTMLElement): (x: number | null) => void {
  let shown = -1;
  lineElement.hidden = true;
  return (x) => {
    const index = x === null ? -1 : Math.round(u.valToPos(x, "x"));
    const left = index >= 0 && index <= u.bbox.width / devicePixelRatio ? index : -1;
    if (left === shown) return;
    if (left < 0 !== shown < 0) lineElement.hidden = left < 0;
    if (left >= 0) lineElement.style.backgroundPositionX = `${left}px`;
    shown = left;
  };
}

/** Return the width of a digit of the tooltip, in CSS pixels. */
function measureDigit(parent: HTMLElement): number {
  const ctx = document.createElement("canvas").getContext("2d")!;
  const { fontFamily } = getComputedStyle(parent);
  ctx.font = `600 ${parseFloat(getComputedStyle(document.documentElement).fontSize) * 0.75}px ${fontFamily}`;
  return ctx.measureText("0").width;
}
