// The line along a Pareto front of two objectives. Pure.

/** Return the corners of the stepped line along the front. `points`: the points of the front, in any order. */
export function paretoSteps(points: readonly (readonly [number, number])[], maximizeX: boolean): [number, number][] {
  const sorted = points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y)).sort((a, b) => a[0] - b[0]);
  const line: [number, number][] = [];
  for (const [x, y] of sorted) {
    const last = line.at(-1);
    if (last && last[1] !== y) line.push(maximizeX ? [last[0], y] : [x, last[1]]);
    line.push([x, y]);
  }
  return line;
}
