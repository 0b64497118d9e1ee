// A hook that loads an answer of the query service, once or again and again while the page is visible.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError, loggedIn, unreachableSince } from "./client";

export interface QueryResult<T> {
  data: T | undefined;
  error: ApiError | undefined;
  /** Neither data nor an error has arrived yet. */
  waiting: boolean;
  refresh: () => void;
}

const MAX_BACKOFF_MS = 10_000;

/**
 * Call `load` when `key` changes, and then every `everyMs` while the tab is visible (0: only once). The data stay
 * until the next answer arrives. With another key they are dropped, unless `keep` is set. `load` must end when its
 * signal is aborted.
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
