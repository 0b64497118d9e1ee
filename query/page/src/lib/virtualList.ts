// Which part of a long list is on the screen. Pure.

export interface Part {
  from: number;
  to: number;
  /** Pixels of what is left out before and after. */
  before: number;
  after: number;
}

/** `sizes`: of all items, in order; `margin`: pixels beyond the screen that are made, too. */
export function windowOf(sizes: readonly number[], offset: number, length: number, margin = 200): Part {
  let at = 0;
  let from = 0;
  while (from < sizes.length && at + sizes[from]! < offset - margin) at += sizes[from++]!;
  const before = at;
  let to = from;
  while (to < sizes.length && at < offset + length + margin) at += sizes[to++]!;
  let after = 0;
  for (let i = to; i < sizes.length; i++) after += sizes[i]!;
  return { from, to, before, after };
}

/** The same for rows of one height: no list is walked. */
export function rowsOf(count: number, height: number, offset: number, length: number, margin = 320): Part {
  const from = Math.max(Math.floor((offset - margin) / height), 0);
  const to = Math.min(Math.ceil((offset + length + margin) / height), count);
  return { from: Math.min(from, to), to, before: Math.min(from, to) * height, after: (count - to) * height };
}
