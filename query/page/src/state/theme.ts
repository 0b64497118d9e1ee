// The theme: light, dark, or that of the system. The browser remembers it.
import { effect, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";
const NAME = "runstream-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

export const theme = signal<Theme>(remembered());
/** Whether the dark theme is shown now. Charts are drawn again when it changes. */
export const dark = signal(isDark());

effect(() => {
  document.documentElement.dataset.theme = theme.value;
  dark.value = isDark();
});
system.addEventListener("change", () => (dark.value = isDark()));

export function chooseTheme(next: Theme): void {
  theme.value = next;
  try {
    localStorage.setItem(NAME, next);
  } catch {
    // Private windows may refuse to store it. The choice then holds until the page is left.
  }
}

function isDark(): boolean {
  return theme.value === "dark" || (theme.value === "system" && system.matches);
}

function remembered(): Theme {
  try {
    const found = localStorage.getItem(NAME);
    return found === "light" || found === "dark" ? found : "system";
  } catch {
    return "system";
  }
}
