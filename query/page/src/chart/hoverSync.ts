// The position of the pointer on the x axis, shared by all charts once a frame.
export interface Hover {
  x: number | null;
  /** The chart under the pointer. */
  source: object | null;
}

type Listener = (hover: Hover) => void;

const listeners = new Set<Listener>();
let now: Hover = { x: null, source: null };
let due = false;

/**
 * Call the listener when the pointer moves, and at once if the pointer is over a chart: a chart that scrolls into view
 * then shows it, too.
 */
export function onHover(listener: Listener): () => void {
  listeners.add(listener);
  // A new plot has no scales before this.
  if (now.x !== null) queueMicrotask(() => listeners.has(listener) && listener(now));
  return () => listeners.delete(listener);
}

export function hoverAt(x: number | null, source: object | null): void {
  if (x === null && now.source !== source) return;
  now = { x, source };
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    for (const listener of listeners) listener(now);
  });
}
