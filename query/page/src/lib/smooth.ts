// Exponential moving average that does not depend on how densely a curve is drawn. Pure.

/**
 * `amount` 0 (none) to 0.999: the weight of what was, over a thousandth of `span` in x. A curve in 200 buckets and the
 * same curve in 2000 look the same. Debiased: the first value is itself. What is not finite is left out, and stays.
 */
export function smooth(xs: ArrayLike<number>, ys: ArrayLike<number>, amount: number, span: number): Float64Array {
  const out = new Float64Array(ys.length);
  const weight = Math.min(Math.sqrt(Math.max(amount, 0)), 0.9995);
  let mean = 0;
  let mass = 0;
  let before = NaN;
  for (let i = 0; i < ys.length; i++) {
    const x = xs[i]!;
    const y = ys[i]!;
    if (!Number.isFinite(y)) {
      out[i] = y;
      continue;
    }
    const distance = Number.isNaN(before) || span <= 0 ? 1 : ((x - before) / span) * 1000;
    const kept = weight === 0 ? 0 : Math.pow(weight, Math.max(distance, 1e-6));
    mean = kept * mean + (1 - kept) * y;
    mass = kept * mass + (1 - kept);
    out[i] = mass > 0 ? mean / mass : y;
    before = x;
  }
  return out;
}
