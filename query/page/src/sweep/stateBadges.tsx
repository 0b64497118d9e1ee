// The states of sweeps and trials, as a word and a colour, and counts of trials.
import type { SweepState, TrialCounts, TrialState } from "../api/contract";

const SWEEPS: Record<SweepState, [string, string]> = {
  SWEEP_STATE_UNSPECIFIED: ["unknown", "quiet"],
  SWEEP_STATE_RUNNING: ["running", "running"],
  SWEEP_STATE_PAUSED: ["paused", "warn"],
  SWEEP_STATE_FINISHED: ["finished", "good"],
  SWEEP_STATE_CANCELLED: ["cancelled", "bad"],
};

export const TRIAL_STATES: Record<TrialState, [string, string]> = {
  TRIAL_STATE_UNSPECIFIED: ["unknown", "quiet"],
  TRIAL_STATE_QUEUED: ["queued", "quiet"],
  TRIAL_STATE_RUNNING: ["running", "running"],
  TRIAL_STATE_FINISHED: ["finished", "good"],
  TRIAL_STATE_FAILED: ["failed", "bad"],
  TRIAL_STATE_PRUNED: ["pruned", "warn"],
  TRIAL_STATE_CANCELLED: ["cancelled", "warn"],
  TRIAL_STATE_ADDED: ["added", "good"],
};

export function SweepStateBadge({ state, idle = false }: { state: SweepState; idle?: boolean }) {
  const [name, kind] = idle && state === "SWEEP_STATE_RUNNING" ? ["waiting for agents", "warn"] : SWEEPS[state];
  return (
    <span class={`state ${kind}`}>
      <i aria-hidden="true" />
      <span>{name}</span>
    </span>
  );
}

export function TrialStateBadge({ state }: { state: TrialState }) {
  const [name, kind] = TRIAL_STATES[state];
  return (
    <span class={`state ${kind}`}>
      <i aria-hidden="true" />
      <span>{name}</span>
    </span>
  );
}

/** In the order of the progress bar. */
export const COUNT_ORDER = ["finished", "pruned", "failed", "cancelled", "running", "queued"] as const;

export function endedCount(counts: TrialCounts | undefined): number {
  return counts
    ? Number(counts.finished) + Number(counts.pruned) + Number(counts.failed) + Number(counts.cancelled)
    : 0;
}

export function totalCount(counts: TrialCounts | undefined): number {
  return endedCount(counts) + Number(counts?.running ?? 0) + Number(counts?.queued ?? 0) + Number(counts?.added ?? 0);
}
