// Deleting with a way back: the runs vanish at once, the server is told when nobody has undone it.
import { signal } from "@preact/signals";
import { call, callLast } from "../api/client";
import type { Run } from "../api/contract";
import { count } from "../lib/format";
import { go } from "../state/route";
import { toast } from "../ui/toasts";

/** `team/project/run` of those that are about to be deleted: lists leave them out. */
export const doomed = signal<ReadonlySet<string>>(new Set());

export function isDoomed(run: Run): boolean {
  return doomed.value.has(fullId(run));
}

export function deleteRuns(team: string, project: string, runs: readonly Run[], then?: string): void {
  const ids = runs.map(fullId);
  const request = { team, project, runs: runs.map((run) => run.id) };
  const spare = () => {
    doomed.value = new Set([...doomed.value].filter((id) => !ids.includes(id)));
  };
  doomed.value = new Set([...doomed.value, ...ids]);
  if (then) go(then);
  toast(`${count(runs.length, "run")} deleted`, {
    undo: spare,
    then: () =>
      void call("DeleteRuns", request).catch((error: Error) => {
        spare();
        toast(`Not deleted: ${error.message}`);
      }),
    leaving: () => callLast("DeleteRuns", request),
  });
}

function fullId(run: Run): string {
  return `${run.team}/${run.project}/${run.id}`;
}
