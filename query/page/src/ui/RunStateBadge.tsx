// The state of a run, as a word and a colour.
import type { RunState } from "../api/contract";

const STATES: Record<RunState, [string, string]> = {
  RUN_STATE_UNSPECIFIED: ["unknown", "quiet"],
  RUN_STATE_RUNNING: ["running", "running"],
  RUN_STATE_FINISHED: ["finished", "good"],
  RUN_STATE_FAILED: ["failed", "bad"],
  RUN_STATE_CRASHED: ["crashed", "bad"],
  RUN_STATE_PREEMPTED: ["preempted", "warn"],
};

export function RunStateBadge({ state, bare = false }: { state: RunState; bare?: boolean }) {
  const [name, kind] = STATES[state];
  return (
    <span class={`state ${kind}`} title={bare ? name : undefined}>
      <i aria-hidden="true" />
      <span class={bare ? "unseen" : ""}>{name}</span>
    </span>
  );
}
