// Answers in components: asked for once, or again and again while the page is seen.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError, loggedIn, unreachableSince } from "./client";

export interface QueryResult<T> {
  data: T | undefined;
  error: ApiError | undefined;
  /** Nothing has come yet. */
  waiting: boolean;
  refresh: () => void;
}

const MAX_BACKOFF_MS = 10_000;

/**
 * Ask when `key` changes, and every `everyMs` after (never: 0) while the tab is visible. What was there stays until the
 * next answer comes; with another key it goes, unless `keep`. `ask` must end with its signal.
 */
export function useQuery<T>(
  key: string | null,
  load: (signal: AbortSignal) => Promise<T>,
  everyMs = 0,
  keep = false,
): QueryResult<T> {
  const [state, setState] = useState<{ key: string | null; data?: T; error?: ApiError }>({ key: null });
  const latestLoad = useRef(load);
  latestLoad.current = load;
  const [refreshCount, setRefreshCount] = useState(0);
  const refresh = useCallback(() => setRefreshCount((n) => n + 1), []);

  useEffect(() => {
    if (key === null) return;
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let failures = 0;
    const poll = async () => {
      if (document.visibilityState === "hidden") return;
      try {
        const data = await latestLoad.current(controller.signal);
        failures = 0;
        if (!controller.signal.aborted) setState({ key, data });
      } catch (error) {
        if (controller.signal.aborted) return;
        failures += 1;
        const apiError = error instanceof ApiError ? error : new ApiError("INTERNAL", String(error));
        setState(
          (before) =>
            ({ key, ...(before.key === key || keep ? { data: before.data } : {}), error: apiError }) as typeof before,
        );
      }
      const delayMs = failures && unreachableSince.value ? Math.min(500 * 2 ** failures, MAX_BACKOFF_MS) : everyMs;
      if (delayMs && !controller.signal.aborted && loggedIn.value) timer = setTimeout(poll, delayMs);
    };
    const onVisible = () => {
      if (document.visibilityState === "visible" && everyMs) {
        clearTimeout(timer);
        void poll();
      }
    };
    document.addEventListener("visibilitychange", onVisible);
    void poll();
    return () => {
      controller.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", onVisible);
    };
  }, [key, everyMs, keep, refreshCount, loggedIn.value]);

  const current = state.key === key || keep;
  const data = current ? state.data : undefined;
  const error = state.key === key ? state.error : undefined;
  return { data, error, waiting: data === undefined && !error, refresh };
}
