// One pointer, all charts: where it is on the x axis, told to every chart once a frame.
export interface Hover {
  x: number | null;
  /** The chart under the pointer. */
  source: object | null;
}

type Listener = (hover: Hover) => void;

const listeners = new Set<Listener>();
let now: Hover = { x: null, source: null };
let due = false;

/** Told where the pointer is now, too: a chart that is scrolled to shows it as the others do. */
export function onHover(listener: Listener): () => void {
  listeners.add(listener);
  if (now.x !== null) queueMicrotask(() => listeners.has(listener) && listener(now)); // a new plot has no scales before
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
