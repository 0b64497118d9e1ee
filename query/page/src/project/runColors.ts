// The colours of runs: a run's default colour, or the one that the user has chosen.
import { useMemo } from "preact/hooks";
import type { Run } from "../api/contract";
import { assignColors } from "../lib/colors";
import { route, setQuery } from "../state/route";

/** Return the colour of each run. The URL has chosen colours as `color=run:index`. */
export function useRunColors(runs: readonly Run[]): Map<string, string> {
  const given = route.value.query.getAll("color").join(" ");
  const ids = runs.map((run) => run.id).join(" ");
  // biome-ignore lint/correctness/useExhaustiveDependencies: the ids stand for the runs
  return useMemo(() => {
    const chosen = new Map<string, number>();
    for (const text of route.value.query.getAll("color")) {
      const separator = text.lastIndexOf(":");
      chosen.set(text.slice(0, separator), Number(text.slice(separator + 1)) || 0);
    }
    const oldest = [...runs].sort(
      (a, b) => (a.created ?? "").localeCompare(b.created ?? "") || a.id.localeCompare(b.id),
    );
    return assignColors(
      oldest.map((run) => run.id),
      chosen,
    );
  }, [ids, given]);
}

export function setRunColor(run: string, paletteIndex: number | null): void {
  const others = route.value.query.getAll("color").filter((text) => text.slice(0, text.lastIndexOf(":")) !== run);
  setQuery({ color: paletteIndex === null ? others : [...others, `${run}:${paletteIndex}`] });
}
