// The colours of runs: each run's own, or the one that the user gave it.
import { useMemo } from "preact/hooks";
import type { Run } from "../api/contract";
import { colorsOf } from "../lib/colors";
import { place, setQuery } from "../state/route";

/** Colours that users gave: `color=run:place`. */
export function useColors(runs: readonly Run[]): Map<string, string> {
  const given = place.value.query.getAll("color").join(" ");
  const ids = runs.map((run) => run.id).join(" ");
  return useMemo(() => {
    const chosen = new Map<string, number>();
    for (const text of place.value.query.getAll("color")) {
      const at = text.lastIndexOf(":");
      chosen.set(text.slice(0, at), Number(text.slice(at + 1)) || 0);
    }
    const oldest = [...runs].sort(
      (a, b) => (a.created ?? "").localeCompare(b.created ?? "") || a.id.localeCompare(b.id),
    );
    return colorsOf(
      oldest.map((run) => run.id),
      chosen,
    );
  }, [ids, given]);
}

export function setColor(run: string, place_in_palette: number | null): void {
  const others = place.value.query.getAll("color").filter((text) => text.slice(0, text.lastIndexOf(":")) !== run);
  setQuery({ color: place_in_palette === null ? others : [...others, `${run}:${place_in_palette}`] });
}
