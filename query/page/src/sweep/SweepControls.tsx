// Pause, resume, stop; cancel and delete, which ask first. Nothing for who may only read.
import { useState } from "preact/hooks";
import { call } from "../api/client";
import type { Sweep } from "../api/contract";
import { go, path } from "../state/route";
import { mayWrite } from "../state/permissions";
import { count } from "../lib/format";
import { Dialog } from "../ui/Dialog";
import { Icon } from "../ui/Icon";
import { Menu, MenuItem } from "../ui/Menu";
import { toast } from "../ui/toasts";
import { command, ordersFor } from "./sweepCommands";
import { totalOf } from "./stateBadges";

const NAMES = { pause: "Pause", resume: "Resume", stop: "Stop", cancel: "Cancel…" } as const;
const HINTS = {
  pause: "No new trials for now; those that run go on",
  resume: "Give out trials again",
  stop: "No new trials any more; those that run go on to their end",
  cancel: "End the sweep and the trials that run, for good",
} as const;

export function Controls({ sweep, refresh }: { sweep: Sweep; refresh: () => void }) {
  const [asking, setAsking] = useState<"cancel" | "delete" | null>(null);
  if (!mayWrite(sweep.team)) return null;
  const remove = async () => {
    setAsking(null);
    try {
      await call("DeleteSweep", { sweep: sweep.id });
      toast("Sweep deleted; its runs are still there");
      go(path(sweep.team, sweep.project, "sweeps"));
    } catch (error) {
      toast(`Not deleted: ${(error as Error).message}`, { forMs: 8000 });
    }
  };
  return (
    <>
      {ordersFor(sweep).map((order) => (
        <button
          key={order}
          class={order === "cancel" ? "button danger" : "button"}
          title={HINTS[order]}
          onClick={() => (order === "cancel" ? setAsking("cancel") : void command(sweep.id, order, refresh))}
        >
          {NAMES[order]}
        </button>
      ))}
      <Menu label="More about this sweep" button={<Icon name="more" />}>
        <MenuItem danger act={() => setAsking("delete")}>Delete this sweep…</MenuItem>
      </Menu>
      {asking === "cancel" && (
        <Sure title="Cancel this sweep?" yes="Cancel the sweep" close={() => setAsking(null)} act={() => (setAsking(null), void command(sweep.id, "cancel", refresh))}>
          {Number(sweep.counts?.running ?? 0) > 0 ? `${count(Number(sweep.counts!.running), "trial")} that run now are told to stop, and ` : "No new trial begins, and "}
          the sweep cannot be resumed. What was logged stays.
        </Sure>
      )}
      {asking === "delete" && (
        <Sure title="Delete this sweep?" yes="Delete the sweep" close={() => setAsking(null)} act={() => void remove()}>
          Its {count(totalOf(sweep.counts), "trial")} are forgotten, and agents that work on it end. The runs stay, with all that they logged.
        </Sure>
      )}
    </>
  );
}

export function Sure(props: { title: string; yes: string; close: () => void; act: () => void; children: preact.ComponentChildren }) {
  return (
    <Dialog title={props.title} close={props.close}>
      <p>{props.children}</p>
      <p class="dialog-actions">
        <button class="button" onClick={props.close}>Keep it</button>
        <button class="button danger" onClick={props.act}>{props.yes}</button>
      </p>
    </Dialog>
  );
}
