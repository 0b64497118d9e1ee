// The tooltip of a chart. Its elements are created once, with sizes that do not depend on their text, and are written
// only if a text differs. So a frame lays out a few words and no table.
import { formatDuration, formatNumber } from "../lib/format";
import type { XAxisMode } from "./lines";
import { entriesAround, type NearestPoint, type NearestPoints } from "./nearestPoints";

const SHOWN = 12;
const LABEL_PX = 160;
const MAX_WIDTH_PX = 440;
/** Width around the columns: mark, gaps, padding and border. */
const AROUND_PX = 8 + 3 * 8 + 22;
/** Distance from the pointer. Within these limits the tooltip does not move, so that it is easier to read. */
const APART_PX = [14, 120] as const;
const MOVED_PX = 50;
const EDGE_PX = 8;
/** Narrower windows do not show the bands. */
const NARROW_PX = 600;

/** Position of the chart. All numbers are CSS pixels. */
export interface Frame {
  /** Left edge of the chart in the window. */
  left: number;
  windowWidth: number;
  /** Width of a digit of the tooltip. */
  digit: number;
}

interface Row {
  element: HTMLElement;
  mark: HTMLElement;
  value: Text;
  label: Text;
  spread: Text;
  color: string;
}

const NOTHING = { value: 0, label: 0, spread: 0 };

export class Tooltip {
  readonly element = element("div", "tip curves");
  private readonly title = this.element.appendChild(element("p")).appendChild(new Text());
  private readonly body = this.element.appendChild(element("table")).appendChild(element("tbody"));
  private readonly more = element("p", "quiet");
  private readonly hidden = this.more.appendChild(new Text());
  private readonly rows: Row[] = [];
  /**
   * Characters for which the columns have room. They only grow while the tooltip is shown, so that it does not
   * flicker.
   */
  private room = { ...NOTHING };
  private width = 0;
  /** Distance from the left of the chart. */
  private left = NaN;

  show(points: NearestPoints, axis: XAxisMode, frame: Frame): void {
    const entries = entriesAround(points, SHOWN);
    const room = { ...this.room };
    write(this.title, titleOf(points, axis));
    for (const [i, entry] of entries.entries())
      this.fill(this.rows[i] ?? this.row(), entry, entry === points.nearest, room);
    for (let i = 0; i < this.rows.length; i++) setPresent(this.rows[i]!.element, this.body, i < entries.length);
    setPresent(this.more, this.element, points.entries.length > entries.length);
    write(this.hidden, `and ${points.entries.length - entries.length} more`);
    this.widen(room, frame);
    this.move(points.left, frame);
  }

  hide(): void {
    this.element.remove();
    this.room = { ...NOTHING };
    this.left = NaN;
  }

  /** Move the tooltip to the side with more room, within the window. */
  private move(pointer: number, { left, windowWidth }: Frame): void {
    const toRight = left + pointer < windowWidth / 2;
    const apart = toRight ? this.left - pointer : pointer - this.left - this.width;
    if (apart >= APART_PX[0] && apart <= APART_PX[1]) return;
    const wanted = toRight ? pointer + MOVED_PX : pointer - MOVED_PX - this.width;
    const newLeft = Math.round(Math.max(Math.min(wanted, windowWidth - EDGE_PX - this.width - left), EDGE_PX - left));
    if (newLeft === this.left) return;
    this.left = newLeft;
    this.element.style.left = `${newLeft}px`;
  }

  private row(): Row {
    const cells = ["", "numeric", "clip", "quiet numeric"].map((name) => element("td", name));
    const row = element("tr");
    row.append(...cells);
    const [mark, value, label, spread] = [
      cells[0]!.appendChild(element("i")),
      ...cells.slice(1).map((cell) => cell.appendChild(new Text())),
    ] as [HTMLElement, Text, Text, Text];
    const created = { element: row, mark, value, label, spread, color: "" };
    this.rows.push(created);
    return created;
  }

  private fill(row: Row, { line, index, value }: NearestPoint, highlighted: boolean, room: typeof this.room): void {
    row.element.classList.toggle("strong", highlighted);
    if (row.color !== line.color) row.mark.style.background = row.color = line.color;
    room.value = Math.max(room.value, write(row.value, formatNumber(value)));
    room.label = Math.max(room.label, write(row.label, line.note ? `${line.label} · ${line.note}` : line.label));
    room.spread = Math.max(room.spread, write(row.spread, spreadOf(line, index)));
  }

  private widen(room: typeof this.room, { windowWidth, digit }: Frame): void {
    if (room.value === this.room.value && room.label === this.room.label && room.spread === this.room.spread) return;
    this.room = room;
    const px = (characters: number) => (characters ? Math.ceil((characters + 1) * digit) : 0);
    const value = px(room.value);
    const spread = windowWidth < NARROW_PX ? 0 : px(room.spread);
    const most = Math.min(MAX_WIDTH_PX, windowWidth - 2 * EDGE_PX) - AROUND_PX - value - spread;
    const label = Math.max(Math.min(px(room.label), LABEL_PX, most), 0);
    const { style } = this.element;
    this.width = AROUND_PX + value + label + spread;
    style.width = `${this.width}px`;
    style.setProperty("--columns", `8px ${value}px ${label}px ${spread}px`);
  }
}

function titleOf({ x, entries }: NearestPoints, axis: XAxisMode): string {
  const { line, index } = entries[0]!;
  const where = {
    step: () => "",
    time: () => formatDuration(x),
    wall: () => new Date(x * 1000).toLocaleString(),
    metric: () => formatNumber(x),
  }[axis]();
  return `${where ? `${where} · ` : ""}step ${formatNumber(line.steps[index]!)}`;
}

function spreadOf(line: NearestPoint["line"], index: number): string {
  const nonFinite = line.nonFinite[index]! > 0 ? `${formatNumber(line.nonFinite[index]!)} not finite` : "";
  const band =
    line.lows[index] !== line.highs[index] && Number.isFinite(line.lows[index]!)
      ? `${formatNumber(line.lows[index]!, 4)} … ${formatNumber(line.highs[index]!, 4)}`
      : "";
  return [band, nonFinite].filter(Boolean).join(", ");
}

function element(name: string, className = ""): HTMLElement {
  const created = document.createElement(name);
  created.className = className;
  return created;
}

/** Set the text of a node if it differs. Return its length. */
function write(node: Text, text: string): number {
  if (node.data !== text) node.data = text;
  return text.length;
}

function setPresent(child: HTMLElement, parent: HTMLElement, there: boolean): void {
  if (there !== (child.parentNode === parent)) there ? parent.append(child) : child.remove();
}
