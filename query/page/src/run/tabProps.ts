// Props of the tabs of a run's page.
import type { Key, Run } from "../api/contract";

export interface RunProps {
  run: Run;
}

export interface RunTabProps extends RunProps {
  /** Keys of the media, tables, texts and histograms that the run has logged. */
  keys: readonly Key[];
}
