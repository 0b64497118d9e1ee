// Keyboard shortcuts of one key each. They do nothing while the user types. `?` lists them.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

interface Shortcut {
  key: string;
  description: string;
  action: () => void;
}

export const shortcuts = signal<readonly Shortcut[]>([]);
export const helpOpen = signal(false);

export function useShortcut(key: string, description: string, action: () => void): void {
  useEffect(() => {
    const shortcut = { key, description, action };
    shortcuts.value = [...shortcuts.value, shortcut];
    return () => {
      shortcuts.value = shortcuts.value.filter((item) => item !== shortcut);
    };
  }, [key, description, action]);
}

export function startShortcuts(): void {
  addEventListener("keydown", (event) => {
    if (event.metaKey || event.ctrlKey || event.altKey || isTyping(event.target)) return;
    if (event.key === "?") {
      helpOpen.value = !helpOpen.value;
      event.preventDefault();
      return;
    }
    const found = shortcuts.value.findLast((item) => item.key === event.key);
    if (found) {
      event.preventDefault();
      found.action();
    }
  });
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}
