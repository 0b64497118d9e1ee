// Where the user is: the URL as a signal. Every view state is in it, so that a link shows what its sender saw.
import { signal } from "@preact/signals";
import { type Changes, toText, withChanges } from "../lib/urlQuery";

export interface Place {
  /** Decoded parts of the path. */
  parts: string[];
  query: URLSearchParams;
  hash: string;
}

export const place = signal<Place>(read());

function read(): Place {
  const parts = location.pathname.split("/").filter(Boolean).map(decode);
  return { parts, query: new URLSearchParams(location.search), hash: location.hash.slice(1) };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function start(): void {
  addEventListener("popstate", () => (place.value = read()));
  document.addEventListener("click", follow);
}

export function go(url: string, replace = false): void {
  history[replace ? "replaceState" : "pushState"](null, "", url);
  place.value = read();
  if (!replace) scrollTo(0, 0);
}

/** Change some of the view's state; `replace` for what is dragged or typed, so that Back leaves the view. */
export function setQuery(changes: Changes, replace = true): void {
  const query = toText(withChanges(place.value.query, changes));
  history[replace ? "replaceState" : "pushState"](null, "", location.pathname + query);
  place.value = read();
}

export function path(...parts: string[]): string {
  return `/${parts.map(encodeURIComponent).join("/")}`;
}

/** Links within the page do not load it again. */
function follow(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
    return;
  const link = (event.target as Element | null)?.closest?.("a");
  if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
  if (link.pathname.startsWith("/api/")) return;
  event.preventDefault();
  go(link.pathname + link.search);
}
