// The URL as a signal. It contains all state of a view, so that a copied link shows the same.
import { signal } from "@preact/signals";
import { type Changes, queryToText, withChanges } from "../lib/urlQuery";

export interface Route {
  /** Decoded parts of the path. */
  parts: string[];
  query: URLSearchParams;
  hash: string;
}

export const route = signal<Route>(readRoute());

function readRoute(): Route {
  const parts = location.pathname.split("/").filter(Boolean).map(decodePart);
  return { parts, query: new URLSearchParams(location.search), hash: location.hash.slice(1) };
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function startRouting(): void {
  addEventListener("popstate", () => (route.value = readRoute()));
  document.addEventListener("click", followLink);
}

export function navigate(url: string, replace = false): void {
  history[replace ? "replaceState" : "pushState"](null, "", url);
  route.value = readRoute();
  if (!replace) scrollTo(0, 0);
}

/** Change some of the view's state. `replace` adds no entry to the history, for what is dragged or typed. */
export function setQuery(changes: Changes, replace = true): void {
  const query = queryToText(withChanges(route.value.query, changes));
  history[replace ? "replaceState" : "pushState"](null, "", location.pathname + query);
  route.value = readRoute();
}

export function path(...parts: string[]): string {
  return `/${parts.map(encodeURIComponent).join("/")}`;
}

/** Follow a link within the page without loading the page again. */
function followLink(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
    return;
  const link = (event.target as Element | null)?.closest?.("a");
  if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
  if (link.pathname.startsWith("/api/")) return;
  event.preventDefault();
  navigate(link.pathname + link.search);
}
