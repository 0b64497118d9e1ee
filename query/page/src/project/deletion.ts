// Deleting runs with Undo: the runs vanish at once, and the request is sent when the time for Undo is over.
import { signal } from "@preact/signals";
import { call, callOnUnload } from "../api/client";
import type { Run } from "../api/contract";
import { count } from "../lib/format";
import { navigate } from "../state/route";
import { toast } from "../ui/toasts";

/** `team/project/run` of runs that are about to be deleted. Lists leave them out. */
const pendingDeletions = signal<ReadonlySet<string>>(new Set());

export function isBeingDeleted(run: Run): boolean {
  return pendingDeletions.value.has(runPath(run));
}

export function deleteRuns(team: string, project: string, runs: readonly Run[], thenGoTo?: string): void {
  const paths = runs.map(runPath);
  const request = { team, project, runs: runs.map((run) => run.id) };
  const restore = () => {
    pendingDeletions.value = new Set([...pendingDeletions.value].filter((id) => !paths.includes(id)));
  };
  pendingDeletions.value = new Set([...pendingDeletions.value, ...paths]);
  if (thenGoTo) navigate(thenGoTo);
  toast(`${count(runs.length, "run")} deleted`, {
    undo: restore,
    onExpire: () =>
      void call("DeleteRuns", request).catch((error: Error) => {
        restore();
        toast(`Not deleted: ${error.message}`);
      }),
    onPageHide: () => callOnUnload("DeleteRuns", request),
  });
}

function runPath(run: Run): string {
  return `${run.team}/${run.project}/${run.id}`;
}
