// Saved views and reports: what all views that show them share.
import { call } from "../api/client";
import type { Saved } from "../api/contract";
import { path } from "../state/route";
import { toast, withErrorToast } from "../ui/toasts";

/** Return a new id. The page chooses it, so that a request that is sent twice creates one item. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_");
}

export function savedKey(saved: Saved): { team: string; project: string; id: string } {
  return { team: saved.team, project: saved.project, id: saved.id };
}

export function savedPath(saved: Saved, ...rest: string[]): string {
  return path(saved.team, saved.project, saved.kind === "SAVED_KIND_REPORT" ? "reports" : "views", saved.id, ...rest);
}

/** Delete an item at once. The toast offers Undo. */
export async function deleteSaved(saved: Saved, changed: () => void): Promise<void> {
  const undo = () =>
    void withErrorToast(async () => {
      await call("RestoreSaved", savedKey(saved));
      changed();
    });
  await withErrorToast(async () => {
    await call("DeleteSaved", savedKey(saved));
    changed();
    toast(`${saved.name} deleted`, { undo });
  });
}

export function copyLink(address: string, what: string): void {
  void navigator.clipboard.writeText(location.origin + address).then(() => toast(`Link to ${what} copied`));
}
