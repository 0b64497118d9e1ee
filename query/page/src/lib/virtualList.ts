// Which part of a long list is visible, for lists that render only that part. Pure.

export interface VisibleRange {
  from: number;
  to: number;
  /** Height or width in pixels of what is left out before and after. */
  before: number;
  after: number;
}

/**
 * Return the visible items. `sizes`: pixels of all items, in order. `margin`: pixels beyond the visible part that are
 * rendered, too.
 */
export function visibleItems(sizes: readonly number[], offset: number, length: number, margin = 200): VisibleRange {
  let offsetPx = 0;
  let from = 0;
  while (from < sizes.length && offsetPx + sizes[from]! < offset - margin) offsetPx += sizes[from++]!;
  const before = offsetPx;
  let to = from;
  while (to < sizes.length && offsetPx < offset + length + margin) offsetPx += sizes[to++]!;
  let after = 0;
  for (let i = to; i < sizes.length; i++) after += sizes[i]!;
  return { from, to, before, after };
}

/** Return the visible rows if all rows have the same height. */
export function visibleRows(count: number, height: number, offset: number, length: number, margin = 320): VisibleRange {
  const from = Math.max(Math.floor((offset - margin) / height), 0);
  const to = Math.min(Math.ceil((offset + length + margin) / height), count);
  return { from: Math.min(from, to), to, before: Math.min(from, to) * height, after: (count - to) * height };
}
