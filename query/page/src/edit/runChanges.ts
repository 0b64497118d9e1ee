// What editing changes of runs, and what takes it back. Pure.
import type { Run, UpdateRunsRequest } from "../api/contract";

export type RunChange = Partial<Omit<UpdateRunsRequest, "team" | "project">>;

/** Tags written with commas between them: each once. */
export function parseTags(text: string): string[] {
  return [
    ...new Set(
      text
        .split(",")
        .map((tag) => tag.trim())
        .filter(Boolean),
    ),
  ];
}

/** Tags of some runs, and how many of the runs have each; the most frequent first. */
export function countTags(runs: readonly Run[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const run of runs) for (const tag of run.tags) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
}

/** One change for all runs; null where nothing changes. */
export function tagChange(runs: readonly Run[], add: readonly string[], remove: readonly string[]): RunChange | null {
  const touched = runs.filter(
    (run) => add.some((tag) => !run.tags.includes(tag)) || remove.some((tag) => run.tags.includes(tag)),
  );
  if (!touched.length) return null;
  return {
    runs: touched.map((run) => run.id),
    ...(add.length ? { add_tags: [...add] } : {}),
    ...(remove.length ? { remove_tags: [...remove] } : {}),
  };
}

/** What gives runs back the tags that they had: one change for all that had the same. */
export function restoreTagsChanges(runs: readonly Run[]): RunChange[] {
  const groups = new Map<string, { runs: string[]; tags: { tags: string[] } }>();
  for (const run of runs) {
    const key = JSON.stringify(run.tags);
    const group = groups.get(key) ?? { runs: [], tags: { tags: [...run.tags] } };
    group.runs.push(run.id);
    groups.set(key, group);
  }
  return [...groups.values()];
}

export interface Fields {
  name: string;
  notes: string;
  group: string;
  tags: string[];
}

export function editableFields(run: Run): Fields {
  return { name: run.name, notes: run.notes, group: run.group, tags: [...run.tags] };
}

/** Only what differs; null where nothing does. */
export function fieldChange(id: string, before: Fields, after: Fields): RunChange | null {
  const change: RunChange = {};
  for (const name of ["name", "notes", "group"] as const) if (before[name] !== after[name]) change[name] = after[name];
  if (JSON.stringify(before.tags) !== JSON.stringify(after.tags)) change.tags = { tags: after.tags };
  return Object.keys(change).length ? { runs: [id], ...change } : null;
}
