// What each tab of a run's page receives.
import type { Key, Run } from "../api/contract";

export interface RunProps {
  run: Run;
}

export interface RunTabProps extends RunProps {
  /** Keys of everything rich that the run has logged. */
  keys: readonly Key[];
}
