// Drafts of reports. The browser keeps them until they are saved or discarded, so that a closed tab loses nothing.

export interface Draft {
  name: string;
  content: string;
  /** Version of the report from which the draft began; "0" for a new report. */
  version: string;
  savedAt: number;
}

const PREFIX = "runstream.draft.";

export function readDraft(key: string): Draft | null {
  try {
    const found = JSON.parse(localStorage.getItem(PREFIX + key) ?? "null") as Draft | null;
    return found && typeof found.content === "string" && typeof found.name === "string" ? found : null;
  } catch {
    return null;
  }
}

export function keepDraft(key: string, draft: Draft | null): void {
  try {
    if (draft) localStorage.setItem(PREFIX + key, JSON.stringify(draft));
    else localStorage.removeItem(PREFIX + key);
  } catch {
    // The store may be full or forbidden. The text is still on the screen, and the browser asks before it leaves the
    // page.
  }
}
