// Which part of an axis is shown. Pure.

export type Range = readonly [number, number];

/** Smallest and largest finite value (and > 0 with `positive`); null where there is none. */
export function extent(columns: Iterable<ArrayLike<number>>, positive = false): Range | null {
  let low = Infinity;
  let high = -Infinity;
  for (const column of columns) {
    for (let i = 0; i < column.length; i++) {
      const value = column[i]!;
      if (!Number.isFinite(value) || (positive && value <= 0)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return low <= high ? [low, high] : null;
}

/** What holds all but the outermost values: between the quantiles `cut` and 1 - `cut`. */
export function robustExtent(columns: Iterable<ArrayLike<number>>, cut = 0.02, positive = false): Range | null {
  const values: number[] = [];
  for (const column of columns) {
    for (let i = 0; i < column.length; i++) {
      const value = column[i]!;
      if (Number.isFinite(value) && (!positive || value > 0)) values.push(value);
    }
  }
  if (!values.length) return null;
  const sorted = Float64Array.from(values).sort();
  const quantile = (share: number) => sorted[Math.round(share * (sorted.length - 1))]!;
  return [quantile(cut), quantile(1 - cut)];
}

/** With some air on both sides; a single value gets room around it. */
export function padded([low, high]: Range, share = 0.06, log = false): Range {
  if (log) {
    const factor = high > low ? (high / low) ** share : 2;
    return [low / factor, high * factor];
  }
  const span = high - low;
  if (span > 0) return [low - span * share, high + span * share];
  const room = Math.abs(low) * 0.1 || 1;
  return [low - room, low + room];
}

/** Place of the value nearest to `x` in an ascending column; -1 in an empty one. */
export function nearest(column: ArrayLike<number>, x: number): number {
  let low = 0;
  let high = column.length - 1;
  if (high < 0) return -1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (column[middle]! < x) low = middle;
    else high = middle;
  }
  return x - column[low]! <= column[high]! - x ? low : high;
}

/** First place in an ascending column whose value is at least `x`; with `beyond`, is greater. */
export function lowerBound(column: ArrayLike<number>, x: number, beyond = false): number {
  let low = 0;
  let high = column.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (column[middle]! < x || (beyond && column[middle] === x)) low = middle + 1;
    else high = middle;
  }
  return low;
}
