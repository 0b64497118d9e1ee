// Ranges of values, and searches in ascending columns. Pure.

export type Range = readonly [number, number];

/** Return the smallest and largest finite value (greater than 0 if `positive`), or null if there is none. */
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

/** Return the range between the quantiles `cut` and 1 - `cut`, which leaves out outliers. */
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

/** Add a margin on both sides. A single value gets a range around it. */
export function withMargin([low, high]: Range, share = 0.06, log = false): Range {
  if (log) {
    const factor = high > low ? (high / low) ** share : 2;
    return [low / factor, high * factor];
  }
  const span = high - low;
  if (span > 0) return [low - span * share, high + span * share];
  const room = Math.abs(low) * 0.1 || 1;
  return [low - room, low + room];
}

/** Return the index of the value that is nearest to `x` in an ascending column; -1 if it is empty. */
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

/**
 * Return the first index in an ascending column whose value is at least `x`, or greater than `x` if `beyond` is set.
 */
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
