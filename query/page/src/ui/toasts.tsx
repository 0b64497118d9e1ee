// Short notes in a corner of the page. Some of them offer Undo for as long as they are shown.
import { signal } from "@preact/signals";

interface Toast {
  id: number;
  text: string;
  undo?: () => void;
}

const toasts = signal<readonly Toast[]>([]);
let nextId = 1;

/**
 * Show a note. `onExpire` runs when the time is over and the user has not pressed Undo. `onPageHide` runs instead if
 * the page is left before.
 */
export function toast(
  text: string,
  options: { undo?: () => void; onExpire?: () => void; onPageHide?: () => void; forMs?: number } = {},
): void {
  const id = nextId++;
  const dismiss = () => {
    toasts.value = toasts.value.filter((item) => item.id !== id);
    clearTimeout(timer);
    removeEventListener("pagehide", onLeave);
  };
  const onLeave = () => {
    dismiss();
    options.onPageHide?.();
  };
  const timer = setTimeout(
    () => {
      dismiss();
      options.onExpire?.();
    },
    options.forMs ?? (options.undo ? 7000 : 3500),
  );
  addEventListener("pagehide", onLeave);
  const { undo: undoAction } = options;
  const undo =
    undoAction &&
    (() => {
      dismiss();
      undoAction();
    });
  toasts.value = [...toasts.value, undo ? { id, text, undo } : { id, text }];
}

export function Toasts() {
  return (
    <div class="toasts" role="status">
      {toasts.value.map((item) => (
        <div class="toast" key={item.id}>
          <span>{item.text}</span>
          {item.undo && (
            <button class="link" onClick={item.undo}>
              Undo
            </button>
          )}
        </div>
      ))}
    </div>
  );
}

/** Run an action. Show its error as a toast. Return whether it succeeded. */
export async function withErrorToast(action: () => Promise<unknown>): Promise<boolean> {
  try {
    await action();
    return true;
  } catch (error) {
    const text = (error as Error).message;
    toast(text.charAt(0).toUpperCase() + text.slice(1), { forMs: 7000 });
    return false;
  }
}
