// An exponential moving average that does not depend on the number of points of a curve. Pure.

/**
 * Smooth a curve. `amount` from 0 (none) to 0.999 is the weight of earlier values, over a thousandth of `span` in x.
 * So a curve in 200 buckets and the same curve in 2000 look the same. The average is debiased: the first value is
 * unchanged. Values that are not finite are kept and do not count.
 */
export function smooth(xs: ArrayLike<number>, ys: ArrayLike<number>, amount: number, span: number): Float64Array {
  const smoothed = new Float64Array(ys.length);
  const weight = Math.min(Math.sqrt(Math.max(amount, 0)), 0.9995);
  let mean = 0;
  let mass = 0;
  let lastX = NaN;
  for (let i = 0; i < ys.length; i++) {
    const x = xs[i]!;
    const y = ys[i]!;
    if (!Number.isFinite(y)) {
      smoothed[i] = y;
      continue;
    }
    const distance = Number.isNaN(lastX) || span <= 0 ? 1 : ((x - lastX) / span) * 1000;
    const keptShare = weight === 0 ? 0 : weight ** Math.max(distance, 1e-6);
    mean = keptShare * mean + (1 - keptShare) * y;
    mass = keptShare * mass + (1 - keptShare);
    smoothed[i] = mass > 0 ? mean / mass : y;
    lastX = x;
  }
  return smoothed;
}
