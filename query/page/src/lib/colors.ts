// A run keeps its colour: it comes from its id, and moves on only where an older visible run has it. Pure.

/** Readable on both backgrounds: tested for 3:1 against white and against the dark theme. */
export const PALETTE = [
  "#2f74d0", "#d9532c", "#1f9363", "#b0449d", "#a87f14", "#7561d6", "#0f91a6", "#d6456e",
  "#6a8a1e", "#98623c", "#4a86b8", "#c4641a", "#3f9e4d", "#9c4fd0", "#87796a", "#c2478a",
] as const;

export function hash(text: string): number {
  let value = 2166136261;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 16777619);
  return value >>> 0;
}

/** `runs` oldest first. `chosen`: places in the palette that the user gave to runs. */
export function colorsOf(runs: readonly string[], chosen: ReadonlyMap<string, number> = new Map()): Map<string, string> {
  const taken = new Set<number>(chosen.values());
  const colors = new Map<string, string>();
  for (const run of runs) {
    let place = chosen.get(run);
    if (place === undefined) {
      place = hash(run) % PALETTE.length;
      if (taken.size >= PALETTE.length) taken.clear();
      while (taken.has(place)) place = (place + 1) % PALETTE.length;
      taken.add(place);
    }
    colors.set(run, PALETTE[place % PALETTE.length]!);
  }
  return colors;
}
