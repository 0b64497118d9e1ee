// Commands to a sweep. Pause, resume and stop offer Undo. Cancel asks first (see SweepControls).
import { call } from "../api/client";
import type { Sweep, SweepCommand } from "../api/contract";
import { toast } from "../ui/toasts";

type SweepAction = "pause" | "resume" | "stop" | "cancel";

const COMMANDS: Record<SweepAction, SweepCommand> = {
  pause: "SWEEP_COMMAND_PAUSE",
  resume: "SWEEP_COMMAND_RESUME",
  stop: "SWEEP_COMMAND_STOP",
  cancel: "SWEEP_COMMAND_CANCEL",
};
const MESSAGES: Record<SweepAction, [string, SweepAction | null]> = {
  pause: ["Paused. Running trials continue.", "resume"],
  resume: ["Resumed. Agents get new trials.", "pause"],
  stop: ["Stopped. Running trials continue to their end.", "resume"],
  cancel: ["Cancelled. Running trials will stop.", null],
};

/** Return the actions that the sweep's state allows. */
export function availableActions(sweep: Sweep): SweepAction[] {
  switch (sweep.state) {
    case "SWEEP_STATE_RUNNING":
      return ["pause", "stop", "cancel"];
    case "SWEEP_STATE_PAUSED":
      return ["resume", "stop", "cancel"];
    case "SWEEP_STATE_FINISHED":
      return Number(sweep.counts?.running ?? 0) > 0 ? ["resume", "cancel"] : ["resume"];
    default:
      return [];
  }
}

export async function sendCommand(sweep: string, action: SweepAction, done: () => void): Promise<void> {
  try {
    await call("CommandSweep", { sweep, command: COMMANDS[action] });
    const [text, undoAction] = MESSAGES[action];
    toast(text, undoAction ? { undo: () => void sendCommand(sweep, undoAction, done) } : {});
  } catch (error) {
    toast(`The command failed: ${(error as Error).message}`, { forMs: 8000 });
  }
  done();
}
