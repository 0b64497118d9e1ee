// Colours of runs. A run's colour follows from its id. It gets another one only if an older visible run has that
// colour, or if a neighbour in the list would look alike. Pure.

/** Readable on both backgrounds: tests hold a contrast of 3:1 against white and against the dark theme. */
export const PALETTE = [
  "#2f74d0",
  "#d9532c",
  "#1f9363",
  "#b0449d",
  "#a87f14",
  "#7561d6",
  "#0f91a6",
  "#d6456e",
  "#6a8a1e",
  "#98623c",
  "#4a86b8",
  "#c4641a",
  "#3f9e4d",
  "#9c4fd0",
  "#87796a",
  "#c2478a",
] as const;

export function hashText(text: string): number {
  let value = 2166136261;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 16777619);
  return value >>> 0;
}

/**
 * The colour of a run differs clearly from that of so many neighbours on each side of the list. The distance is in
 * OKLab, where the nearest pair of the palette has 0.05.
 */
const NEIGHBOURS = 2;
const CLEARLY = 0.12;
/** Steps through the palette while colours are taken. It has no common divisor with 16. */
const STRIDE = 5;

/** Assign colours. `runs`: the oldest first. `chosen`: palette indexes that the user has chosen. */
export function assignColors(
  runs: readonly string[],
  chosen: ReadonlyMap<string, number> = new Map(),
): Map<string, string> {
  const taken = new Set<number>(chosen.values());
  const colors = new Map<string, string>();
  const before: number[] = [];
  for (const run of runs) {
    let index = chosen.get(run);
    if (index === undefined) {
      if (taken.size >= PALETTE.length) taken.clear();
      index = firstFree(hashText(run), taken, before.slice(-NEIGHBOURS));
      taken.add(index);
    }
    index %= PALETTE.length;
    before.push(index);
    colors.set(run, PALETTE[index]!);
  }
  return colors;
}

/**
 * Return the first colour that is not taken and differs clearly from its neighbours, or else the one that differs
 * most.
 */
function firstFree(first: number, taken: ReadonlySet<number>, neighbours: readonly number[]): number {
  let best = 0;
  let most = -1;
  for (let i = 0; i < PALETTE.length; i++) {
    const index = (first + i * STRIDE) % PALETTE.length;
    if (taken.has(index)) continue;
    const distance = Math.min(CLEARLY, ...neighbours.map((item) => difference(PALETTE[index]!, PALETTE[item]!)));
    if (distance > most) [best, most] = [index, distance];
  }
  return best;
}

/** Return how different two colours, "#rrggbb", look: their distance in OKLab. */
export function difference(item: string, other: string): number {
  const [a, b] = [oklab(item), oklab(other)];
  return Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

const known = new Map<string, [number, number, number]>();

function oklab(color: string): [number, number, number] {
  let found = known.get(color);
  if (found) return found;
  const linear = (index: number) => {
    const value = parseInt(color.slice(index, index + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  const [r, g, b] = [linear(1), linear(3), linear(5)];
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  found = [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
  known.set(color, found);
  return found;
}
