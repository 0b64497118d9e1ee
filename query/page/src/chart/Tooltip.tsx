// What the lines say where the pointer is: the nearest line first marked, the others by value.
import type uPlot from "uplot";
import { formatDuration, formatNumber } from "../lib/format";
import { nearest } from "../lib/range";
import type { Line, XAxis } from "./series";

const SHOWN = 12;

interface Entry {
  line: Line;
  at: number;
  value: number;
}

export interface TooltipState {
  x: number;
  left: number;
  top: number;
  /** Width and height of the plot, to know on which side there is room. */
  width: number;
  entries: Entry[];
  hidden: number;
  nearest: string | null;
  dots: { left: number; top: number; color: string; strong: boolean }[];
}

export function tooltipAt(u: uPlot, lines: readonly Line[], x: number): TooltipState | null {
  const top = u.cursor.top ?? 0;
  // From uPlot's own figures: to ask the elements would make the browser lay out the page in mid-frame.
  const offset = { left: u.bbox.left / devicePixelRatio, top: u.bbox.top / devicePixelRatio };
  const height = u.bbox.height / devicePixelRatio;
  const reach = Math.abs(u.posToVal(24, "x") - u.posToVal(0, "x"));
  const entries: Entry[] = [];
  let near: Entry | null = null;
  let distance = Infinity;
  for (const line of lines) {
    const at = nearest(line.xs, x);
    if (at < 0 || Math.abs(line.xs[at]! - x) > Math.max(reach, gap(line, at))) continue;
    const entry = { line, at, value: (line.smoothed ?? line.ys)[at]! };
    entries.push(entry);
    const off = Math.abs(u.valToPos(entry.value, "y") - top);
    if (off < distance) [near, distance] = [entry, off];
  }
  if (!entries.length) return null;
  entries.sort((a, b) => b.value - a.value || (Number.isNaN(a.value) ? 1 : -1));
  const dots = entries.flatMap((entry) => {
    const y = u.valToPos(entry.value, "y");
    if (!Number.isFinite(y) || y < 0 || y > height) return [];
    return [{ left: offset.left + u.valToPos(entry.line.xs[entry.at]!, "x"), top: offset.top + y, color: entry.line.color, strong: entry === near }];
  });
  let shown = entries;
  if (entries.length > SHOWN) {
    const middle = near ? entries.indexOf(near) : 0;
    const from = Math.min(Math.max(middle - SHOWN / 2, 0), entries.length - SHOWN);
    shown = entries.slice(from, from + SHOWN);
  }
  const left = offset.left + u.valToPos(x, "x");
  return { x, left, top: offset.top + top, width: u.width, entries: shown, hidden: entries.length - shown.length, nearest: near?.line.id ?? null, dots };
}

function gap(line: Line, at: number): number {
  return Math.max((line.xs[at + 1] ?? line.xs[at]!) - line.xs[at]!, line.xs[at]! - (line.xs[at - 1] ?? line.xs[at]!));
}

export function Tooltip({ state, axis }: { state: TooltipState; axis: XAxis }) {
  const right = state.left > state.width / 2;
  const first = state.entries[0]!;
  const step = first.line.steps[first.at]!;
  const at = { step: "", time: formatDuration(state.x), wall: new Date(state.x * 1000).toLocaleString(), metric: formatNumber(state.x) }[axis];
  const title = `${at ? `${at} · ` : ""}step ${formatNumber(step)}`;
  return (
    <>
      {state.dots.map((dot, i) => (
        <i key={i} class={dot.strong ? "dot strong" : "dot"} style={{ left: `${dot.left}px`, top: `${dot.top}px`, background: dot.color }} />
      ))}
      <div class="tip" style={right ? { right: `${state.width - state.left + 14}px` } : { left: `${state.left + 14}px` }}>
        <p>{title}</p>
        <table>
          <tbody>
            {state.entries.map(({ line, at, value }) => (
              <tr key={line.id} class={line.id === state.nearest ? "strong" : ""}>
                <td><i style={{ background: line.color }} /></td>
                <td class="numeric">{formatNumber(value)}</td>
                <td class="clip">{line.label}{line.note ? ` · ${line.note}` : ""}</td>
                <td class="quiet numeric">{spread(line, at)}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {state.hidden > 0 && <p class="quiet">and {state.hidden} more</p>}
      </div>
    </>
  );
}

function spread(line: Line, at: number): string {
  const wrong = line.wrong[at]! > 0 ? `${formatNumber(line.wrong[at]!)} not finite` : "";
  const band = line.lows[at] !== line.highs[at] && Number.isFinite(line.lows[at]!) ? `${formatNumber(line.lows[at]!, 4)} … ${formatNumber(line.highs[at]!, 4)}` : "";
  return [band, wrong].filter(Boolean).join(", ");
}
