// Text that was written and not saved outlives a closed tab: kept by the browser until it is saved or dropped.

export interface Draft {
  name: string;
  content: string;
  /** Of the report that it was made from; "0": of none. */
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
    // A full or forbidden store: the text is still on the screen, and leaving asks.
  }
}
