// A hook that loads all trials of a sweep page by page, and then only new trials and those that have not ended.
import { useEffect, useState } from "preact/hooks";
import { ApiError, call, unreachableSince } from "../api/client";
import type { Trial } from "../api/contract";
import { isSettled, mergeTrials } from "./trials";

/** More trials are not shown. The table says so. */
const MAX_TRIALS = 10_000;
const PAGE = 1000;
const REFRESH_MS = 2500;
const UNREACHABLE_MS = 5000;

export interface Trials {
  trials: readonly Trial[];
  /** Whether there are more trials than these. */
  hasMore: boolean;
  waiting: boolean;
  error: ApiError | undefined;
}

const NO_TRIALS: Trials = { trials: [], hasMore: false, waiting: true, error: undefined };

/**
 * `live`: load again and again. `total`: the number of trials by the sweep's own counts. If it differs, all trials are
 * loaded again.
 */
export function useTrials(sweep: string, live: boolean, total: number): Trials {
  const [state, setState] = useState<Trials & { sweep: string }>({ ...NO_TRIALS, sweep: "" });
  // biome-ignore lint/correctness/useExhaustiveDependencies: polling goes on from the state that it finds
  useEffect(() => {
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let known = state.sweep === sweep ? state : { ...NO_TRIALS, sweep };
    const poll = async () => {
      if (document.visibilityState === "hidden") {
        timer = setTimeout(poll, REFRESH_MS);
        return;
      }
      try {
        const isIncomplete = !known.hasMore && known.trials.length !== Math.min(total, MAX_TRIALS);
        const next = known.waiting
          ? await loadAll(sweep, controller.signal)
          : await loadChanged(sweep, known, isIncomplete, controller.signal);
        known = { ...next, waiting: false, error: undefined, sweep };
        setState((before) =>
          before.sweep === sweep && before.trials === known.trials && !before.waiting && !before.error ? before : known,
        );
      } catch (error) {
        if (controller.signal.aborted) return;
        known = { ...known, error: error instanceof ApiError ? error : new ApiError("INTERNAL", String(error)) };
        setState(known);
      }
      const delayMs = unreachableSince.value ? UNREACHABLE_MS : REFRESH_MS;
      if (!controller.signal.aborted && (live || known.error || known.trials.some((trial) => !isSettled(trial))))
        timer = setTimeout(poll, delayMs);
    };
    void poll();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [sweep, live, live ? 0 : total]);
  return state.sweep === sweep ? state : NO_TRIALS;
}

async function loadAll(sweep: string, signal: AbortSignal): Promise<Pick<Trials, "trials" | "hasMore">> {
  const trials: Trial[] = [];
  let token = "";
  do {
    const answer = await call(
      "ListTrials",
      { sweep, page_size: PAGE, page_token: token, order: "ORDER_NUMBER" },
      signal,
    );
    trials.push(...answer.trials);
    token = answer.next_page_token;
  } while (token && trials.length < MAX_TRIALS);
  return { trials, hasMore: token !== "" };
}

async function loadChanged(
  sweep: string,
  known: Pick<Trials, "trials" | "hasMore">,
  isIncomplete: boolean,
  signal: AbortSignal,
): Promise<Pick<Trials, "trials" | "hasMore">> {
  const open = known.trials
    .filter((trial) => !isSettled(trial))
    .map((trial) => trial.number)
    .slice(-PAGE);
  const last = known.trials.at(-1)?.number ?? "0";
  const [updated, newest] = await Promise.all([
    open.length ? call("ListTrials", { sweep, numbers: open, page_size: PAGE }, signal) : { trials: [] },
    known.hasMore ? { trials: [] } : call("ListTrials", { sweep, order: "ORDER_NEWEST", page_size: 100 }, signal),
  ]);
  const fresh = newest.trials.filter((trial) => Number(trial.number) > Number(last));
  if ((fresh.length === newest.trials.length && fresh.length === 100) || (isIncomplete && !fresh.length))
    return loadAll(sweep, signal); // there are too many new trials for one page
  return { trials: mergeTrials(known.trials, [...updated.trials, ...fresh]), hasMore: known.hasMore };
}
