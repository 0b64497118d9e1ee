// What arrives, as it arrives: one stream of server-sent events for all charts that are seen. It says what has changed;
// the charts then ask for the truth, so that what they show is what a reload would show.
import { signal } from "@preact/signals";
import type { WatchRunsResponse } from "../api/contract";

export interface Interest {
  team: string;
  project: string;
  /** That go on. */
  runs: readonly string[];
  metric: string;
  changed: () => void;
}

/** Whether changes are told; while not, charts must ask by themselves. */
export const streaming = signal(false);

const MOST_RUNS = 100;
const MOST_METRICS = 200;
/** While scrolling, interests come and go. */
const SETTLE_MS = 400;
const AGAIN_MS = 5000;

const interests = new Set<Interest>();
let source: EventSource | null = null;
let asked = "";
let lastEvent = "";
let timer: ReturnType<typeof setTimeout> | undefined;

export function follow(interest: Interest): () => void {
  interests.add(interest);
  settle();
  return () => {
    interests.delete(interest);
    settle();
  };
}

// A hidden tab needs no stream, and browsers open few connections to one server.
document.addEventListener("visibilitychange", () => settle());

function settle(afterMs = SETTLE_MS): void {
  clearTimeout(timer);
  timer = setTimeout(open, afterMs);
}

function open(): void {
  const address = document.visibilityState === "hidden" ? "" : addressOf([...interests]);
  if (address === asked && source) return;
  const resumed = lastEvent && sameRuns(address, asked) ? `&after=${encodeURIComponent(lastEvent)}` : "";
  source?.close();
  source = null;
  streaming.value = false;
  asked = address;
  if (!address) return;
  const own = (source = new EventSource(address + resumed));
  let first = !resumed;
  own.onmessage = (event: MessageEvent<string>) => {
    streaming.value = true;
    lastEvent = event.lastEventId;
    hear(JSON.parse(event.data) as WatchRunsResponse, first);
    first = false;
  };
  own.onerror = () => {
    if (streaming.value) {
      streaming.value = false;
      for (const interest of interests) interest.changed(); // from now on they ask by themselves
    }
    if (own.readyState !== EventSource.CLOSED || own !== source) return; // the browser connects again by itself
    source = null;
    settle(AGAIN_MS);
  };
  own.addEventListener("error", (event) => {
    if ("data" in event) own.close(); // the server's word that it ends
  });
}

function hear(told: WatchRunsResponse, everything: boolean): void {
  const points = new Set(told.points.map((one) => `${one.run}\n${one.metric}`));
  for (const interest of interests) {
    if (everything || told.reset || interest.runs.some((run) => points.has(`${run}\n${interest.metric}`)))
      interest.changed();
  }
}

/** Empty where there is nothing to follow, or too much for one stream. */
function addressOf(all: readonly Interest[]): string {
  const one = all[0];
  if (!one) return "";
  const runs = [...new Set(all.flatMap((interest) => interest.runs))].sort();
  const metrics = [...new Set(all.map((interest) => interest.metric))].sort();
  if (
    !runs.length ||
    runs.length > MOST_RUNS ||
    metrics.length > MOST_METRICS ||
    metrics.some((name) => /[*?]/.test(name))
  )
    return "";
  const query = new URLSearchParams({ team: one.team, project: one.project });
  for (const run of runs) query.append("runs", run);
  for (const metric of metrics) query.append("metrics", metric);
  return `/api/v1/WatchRuns?${query}`;
}

function sameRuns(a: string, b: string): boolean {
  const runs = (address: string) => address.split("&metrics=")[0];
  return runs(a) === runs(b);
}
