// Live updates: one stream of server-sent events for all visible charts. It says which metrics have new points. The
// charts then load their curves, so that they show the same as after a reload.
import { signal } from "@preact/signals";
import type { WatchRunsResponse } from "../api/contract";

export interface Subscription {
  team: string;
  project: string;
  /** Ids of running runs. */
  runs: readonly string[];
  metric: string;
  onChange: () => void;
}

/** Whether the stream delivers updates. Otherwise charts must poll. */
export const isStreaming = signal(false);

const MAX_RUNS = 100;
const MAX_METRICS = 200;
/** While the user scrolls, subscriptions come and go. */
const SETTLE_MS = 400;
const RECONNECT_MS = 5000;

const subscriptions = new Set<Subscription>();
let source: EventSource | null = null;
let currentUrl = "";
let lastEvent = "";
let timer: ReturnType<typeof setTimeout> | undefined;

export function subscribe(subscription: Subscription): () => void {
  subscriptions.add(subscription);
  scheduleConnect();
  return () => {
    subscriptions.delete(subscription);
    scheduleConnect();
  };
}

// A hidden tab needs no stream, and browsers open only a few connections to one server.
document.addEventListener("visibilitychange", () => scheduleConnect());

function scheduleConnect(afterMs = SETTLE_MS): void {
  clearTimeout(timer);
  timer = setTimeout(connect, afterMs);
}

function connect(): void {
  const url = document.visibilityState === "hidden" ? "" : streamUrl([...subscriptions]);
  if (url === currentUrl && source) return;
  const resumed = lastEvent && sameRuns(url, currentUrl) ? `&after=${encodeURIComponent(lastEvent)}` : "";
  source?.close();
  source = null;
  isStreaming.value = false;
  currentUrl = url;
  if (!url) return;
  const eventSource = new EventSource(url + resumed);
  source = eventSource;
  let isFirstMessage = !resumed;
  eventSource.onmessage = (event: MessageEvent<string>) => {
    isStreaming.value = true;
    lastEvent = event.lastEventId;
    notify(JSON.parse(event.data) as WatchRunsResponse, isFirstMessage);
    isFirstMessage = false;
  };
  eventSource.onerror = () => {
    if (isStreaming.value) {
      isStreaming.value = false;
      for (const subscription of subscriptions) subscription.onChange(); // from now on they poll
    }
    // The browser reconnects by itself.
    if (eventSource.readyState !== EventSource.CLOSED || eventSource !== source) return;
    source = null;
    scheduleConnect(RECONNECT_MS);
  };
  eventSource.addEventListener("error", (event) => {
    if ("data" in event) eventSource.close(); // the server says that it ends the stream
  });
}

function notify(update: WatchRunsResponse, everything: boolean): void {
  const points = new Set(update.points.map((first) => `${first.run}\n${first.metric}`));
  for (const subscription of subscriptions) {
    if (everything || update.reset || subscription.runs.some((run) => points.has(`${run}\n${subscription.metric}`)))
      subscription.onChange();
  }
}

/** Return "" if there is nothing to watch, or too much for one stream. */
function streamUrl(active: readonly Subscription[]): string {
  const first = active[0];
  if (!first) return "";
  const runs = [...new Set(active.flatMap((subscription) => subscription.runs))].sort();
  const metrics = [...new Set(active.map((subscription) => subscription.metric))].sort();
  if (
    !runs.length ||
    runs.length > MAX_RUNS ||
    metrics.length > MAX_METRICS ||
    metrics.some((name) => /[*?]/.test(name))
  )
    return "";
  const query = new URLSearchParams({ team: first.team, project: first.project });
  for (const run of runs) query.append("runs", run);
  for (const metric of metrics) query.append("metrics", metric);
  return `/api/v1/WatchRuns?${query}`;
}

function sameRuns(a: string, b: string): boolean {
  const runs = (url: string) => url.split("&metrics=")[0];
  return runs(a) === runs(b);
}
