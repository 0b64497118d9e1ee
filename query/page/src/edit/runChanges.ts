// Edits of runs, and the edits that undo them. Pure.
import type { Run, UpdateRunsRequest } from "../api/contract";

export type RunEdit = Partial<Omit<UpdateRunsRequest, "team" | "project">>;

/** Split a text at its commas. Each tag occurs once. */
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

/** Count how many of the runs have each tag. The most frequent tag comes first. */
export function countTags(runs: readonly Run[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const run of runs) for (const tag of run.tags) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
}

/** Return one change for all runs, or null if it changes nothing. */
export function tagChange(runs: readonly Run[], add: readonly string[], remove: readonly string[]): RunEdit | null {
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

/** Return the changes that restore the tags of the runs: one change for all runs that had the same tags. */
export function restoreTagsChanges(runs: readonly Run[]): RunEdit[] {
  const groups = new Map<string, { runs: string[]; tags: { tags: string[] } }>();
  for (const run of runs) {
    const key = JSON.stringify(run.tags);
    const group = groups.get(key) ?? { runs: [], tags: { tags: [...run.tags] } };
    group.runs.push(run.id);
    groups.set(key, group);
  }
  return [...groups.values()];
}

export interface EditableFields {
  name: string;
  notes: string;
  group: string;
  tags: string[];
}

export function editableFields(run: Run): EditableFields {
  return { name: run.name, notes: run.notes, group: run.group, tags: [...run.tags] };
}

/** Return the fields that differ, or null if none does. */
export function fieldChange(id: string, before: EditableFields, after: EditableFields): RunEdit | null {
  const change: RunEdit = {};
  for (const name of ["name", "notes", "group"] as const) if (before[name] !== after[name]) change[name] = after[name];
  if (JSON.stringify(before.tags) !== JSON.stringify(after.tags)) change.tags = { tags: after.tags };
  return Object.keys(change).length ? { runs: [id], ...change } : null;
}
