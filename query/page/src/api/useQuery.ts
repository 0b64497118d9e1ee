// Answers in components: asked for once, or again and again while the page is seen.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError, awaySince, loggedIn } from "./client";

export interface Answer<T> {
  data: T | undefined;
  error: ApiError | undefined;
  /** Nothing has come yet. */
  waiting: boolean;
  refresh: () => void;
}

const SLOWEST_MS = 10_000;

/**
 * Ask when `key` changes, and every `everyMs` after (never: 0) while the tab is visible. What was there stays until the
 * next answer comes; with another key it goes, unless `keep`. `ask` must end with its signal.
 */
export function useAnswer<T>(
  key: string | null,
  ask: (signal: AbortSignal) => Promise<T>,
  everyMs = 0,
  keep = false,
): Answer<T> {
  const [state, setState] = useState<{ key: string | null; data?: T; error?: ApiError }>({ key: null });
  const asking = useRef(ask);
  asking.current = ask;
  const [round, setRound] = useState(0);
  const refresh = useCallback(() => setRound((n) => n + 1), []);

  useEffect(() => {
    if (key === null) return;
    const end = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let failures = 0;
    const turn = async () => {
      if (document.visibilityState === "hidden") return;
      try {
        const data = await asking.current(end.signal);
        failures = 0;
        if (!end.signal.aborted) setState({ key, data });
      } catch (error) {
        if (end.signal.aborted) return;
        failures += 1;
        const known = error instanceof ApiError ? error : new ApiError("INTERNAL", String(error));
        setState(
          (before) =>
            ({ key, ...(before.key === key || keep ? { data: before.data } : {}), error: known }) as typeof before,
        );
      }
      const again = failures && awaySince.value ? Math.min(500 * 2 ** failures, SLOWEST_MS) : everyMs;
      if (again && !end.signal.aborted && loggedIn.value) timer = setTimeout(turn, again);
    };
    const wake = () => {
      if (document.visibilityState === "visible" && everyMs) {
        clearTimeout(timer);
        void turn();
      }
    };
    document.addEventListener("visibilitychange", wake);
    void turn();
    return () => {
      end.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", wake);
    };
  }, [key, everyMs, round, loggedIn.value]);

  const current = state.key === key || keep;
  const data = current ? state.data : undefined;
  const error = state.key === key ? state.error : undefined;
  return { data, error, waiting: data === undefined && !error, refresh };
}
