// A hook that loads runs page by page: the next page when the end comes near, and the first pages again and again.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { type ApiError, call, unreachableSince } from "../api/client";
import type { ListRunsRequest, Run } from "../api/contract";

export interface RunPages {
  runs: Run[];
  total: number;
  error: ApiError | undefined;
  waiting: boolean;
  loadMore: () => void;
  refresh: () => void;
}

const PAGE = 100;
const REFRESH_MS = 3000;
/** How many pages are loaded again and again. */
const PAGES_REFRESHED = 3;

export function useRunPages(request: Partial<ListRunsRequest>): RunPages {
  const key = JSON.stringify(request);
  const [state, setState] = useState<{
    key: string;
    pages: Run[][];
    next: string;
    total: number;
    error?: ApiError | undefined;
  }>({ key: "", pages: [], next: "", total: 0 });
  const [refreshCount, setRefreshCount] = useState(0);
  const latest = useRef(state);
  latest.current = state;
  const isLoading = useRef(false);

  // biome-ignore lint/correctness/useExhaustiveDependencies: `key` stands for the request
  useEffect(() => {
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const load = async () => {
      const count =
        latest.current.key === key ? Math.max(Math.min(latest.current.pages.length, PAGES_REFRESHED), 1) : 1;
      try {
        const { pages, token, total } = await loadPages(request, count, controller.signal);
        setState((before) => {
          const beyond = before.key === key && before.pages.length > pages.length && token;
          return {
            key,
            pages: beyond ? [...pages, ...before.pages.slice(pages.length)] : pages,
            next: beyond ? before.next : token,
            total,
          };
        });
      } catch (error) {
        if (controller.signal.aborted) return;
        setState((before) => ({
          ...(before.key === key ? before : { pages: [], next: "", total: 0 }),
          key,
          error: error as ApiError,
        }));
        if (!unreachableSince.value) return;
      }
      if (!controller.signal.aborted) timer = setTimeout(loadAgain, REFRESH_MS);
    };
    const loadAgain = () => {
      if (document.visibilityState === "hidden") timer = setTimeout(load, REFRESH_MS);
      else void load();
    };
    void load();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [key, refreshCount]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: `key` stands for the request
  const loadMore = useCallback(() => {
    const { next } = latest.current;
    if (!next || isLoading.current || latest.current.key !== key) return;
    isLoading.current = true;
    call("ListRuns", { ...request, page_size: PAGE, page_token: next })
      .then((answer) =>
        setState((before) =>
          before.key === key && before.next === next
            ? { ...before, pages: [...before.pages, answer.runs], next: answer.next_page_token }
            : before,
        ),
      )
      .catch(() => undefined) // the next scroll loads it again
      .finally(() => (isLoading.current = false));
  }, [key]);

  const seenIds = new Set<string>();
  const runs = state.pages.flat().filter((run) => !seenIds.has(run.id) && seenIds.add(run.id));
  return {
    runs,
    total: state.total,
    error: state.key === key ? state.error : undefined,
    waiting: state.key !== key,
    loadMore,
    refresh: () => setRefreshCount((n) => n + 1),
  };
}

async function loadPages(request: Partial<ListRunsRequest>, count: number, signal: AbortSignal) {
  const pages: Run[][] = [];
  let token = "";
  let total = 0;
  for (let index = 0; index < count && (index === 0 || token); index++) {
    const answer = await call("ListRuns", { ...request, page_size: PAGE, page_token: token }, signal);
    pages.push(answer.runs);
    token = answer.next_page_token;
    total = Number(answer.total);
  }
  return { pages, token, total };
}
