// Buttons to pause, resume, stop, cancel and delete a sweep. The last two ask first. Users who may only read see none
// of them.
import { useState } from "preact/hooks";
import { call } from "../api/client";
import type { Sweep } from "../api/contract";
import { count } from "../lib/format";
import { canWrite } from "../state/permissions";
import { navigate, path } from "../state/route";
import { ConfirmDialog } from "../ui/ConfirmDialog";
import { Icon } from "../ui/Icon";
import { Menu, MenuItem } from "../ui/Menu";
import { toast } from "../ui/toasts";
import { totalCount } from "./stateBadges";
import { availableActions, sendCommand } from "./sweepCommands";

const LABELS = { pause: "Pause", resume: "Resume", stop: "Stop", cancel: "Cancel…" } as const;
const HINTS = {
  pause: "Start no new trials for now. Running trials continue.",
  resume: "Start new trials again",
  stop: "Start no more trials. Running trials continue to their end.",
  cancel: "End the sweep and its running trials. This cannot be undone.",
} as const;

export function SweepControls({ sweep, refresh }: { sweep: Sweep; refresh: () => void }) {
  const [asking, setAsking] = useState<"cancel" | "delete" | null>(null);
  if (!canWrite(sweep.team)) return null;
  const remove = async () => {
    setAsking(null);
    try {
      await call("DeleteSweep", { sweep: sweep.id });
      toast("Sweep deleted. Its runs are kept.");
      navigate(path(sweep.team, sweep.project, "sweeps"));
    } catch (error) {
      toast(`Not deleted: ${(error as Error).message}`, { forMs: 8000 });
    }
  };
  return (
    <>
      {availableActions(sweep).map((action) => (
        <button
          key={action}
          class={action === "cancel" ? "button danger" : "button"}
          title={HINTS[action]}
          onClick={() => (action === "cancel" ? setAsking("cancel") : void sendCommand(sweep.id, action, refresh))}
        >
          {LABELS[action]}
        </button>
      ))}
      <Menu label="More about this sweep" button={<Icon name="more" />}>
        <MenuItem danger onSelect={() => setAsking("delete")}>
          Delete this sweep…
        </MenuItem>
      </Menu>
      {asking === "cancel" && (
        <ConfirmDialog
          title="Cancel this sweep?"
          confirm="Cancel the sweep"
          close={() => setAsking(null)}
          onConfirm={() => {
            setAsking(null);
            void sendCommand(sweep.id, "cancel", refresh);
          }}
        >
          {Number(sweep.counts?.running ?? 0) > 0
            ? `${count(Number(sweep.counts!.running), "running trial")} will be stopped. `
            : "No new trial will start. "}
          The sweep cannot be resumed. Logged data is kept.
        </ConfirmDialog>
      )}
      {asking === "delete" && (
        <ConfirmDialog
          title="Delete this sweep?"
          confirm="Delete the sweep"
          close={() => setAsking(null)}
          onConfirm={() => void remove()}
        >
          Its {count(totalCount(sweep.counts), "trial")} will be deleted, and its agents will end. The runs and all that
          they logged are kept.
        </ConfirmDialog>
      )}
    </>
  );
}
