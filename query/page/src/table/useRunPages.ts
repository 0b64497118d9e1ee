// Runs page by page: the next when the end comes near; what is loaded is asked for again while something changes.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError, awaySince, call } from "../api/client";
import type { ListRunsRequest, Run } from "../api/contract";

export interface Pages {
  runs: Run[];
  total: number;
  error: ApiError | undefined;
  waiting: boolean;
  more: () => void;
  refresh: () => void;
}

const PAGE = 100;
const AGAIN_MS = 3000;
/** Pages that are kept up to date; beyond them a list is read, not watched. */
const WATCHED = 3;

export function usePages(question: Partial<ListRunsRequest>): Pages {
  const key = JSON.stringify(question);
  const [state, setState] = useState<{
    key: string;
    pages: Run[][];
    next: string;
    total: number;
    error?: ApiError | undefined;
  }>({ key: "", pages: [], next: "", total: 0 });
  const [round, setRound] = useState(0);
  const latest = useRef(state);
  latest.current = state;
  const busy = useRef(false);

  useEffect(() => {
    const end = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const read = async () => {
      const count = latest.current.key === key ? Math.max(Math.min(latest.current.pages.length, WATCHED), 1) : 1;
      try {
        const pages: Run[][] = [];
        let token = "";
        let total = 0;
        for (let at = 0; at < count && (at === 0 || token); at++) {
          const answer = await call("ListRuns", { ...question, page_size: PAGE, page_token: token }, end.signal);
          pages.push(answer.runs);
          token = answer.next_page_token;
          total = Number(answer.total);
        }
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
        if (end.signal.aborted) return;
        setState((before) => ({
          ...(before.key === key ? before : { pages: [], next: "", total: 0 }),
          key,
          error: error as ApiError,
        }));
        if (!awaySince.value) return;
      }
      if (!end.signal.aborted)
        timer = setTimeout(
          () => (document.visibilityState === "hidden" ? (timer = setTimeout(read, AGAIN_MS)) : void read()),
          AGAIN_MS,
        );
    };
    void read();
    return () => {
      end.abort();
      clearTimeout(timer);
    };
  }, [key, round]);

  const more = useCallback(() => {
    const { next } = latest.current;
    if (!next || busy.current || latest.current.key !== key) return;
    busy.current = true;
    call("ListRuns", { ...question, page_size: PAGE, page_token: next })
      .then((answer) =>
        setState((before) =>
          before.key === key && before.next === next
            ? { ...before, pages: [...before.pages, answer.runs], next: answer.next_page_token }
            : before,
        ),
      )
      .catch(() => undefined) // the next scroll asks again
      .finally(() => (busy.current = false));
  }, [key]);

  const seen = new Set<string>();
  const runs = state.pages.flat().filter((run) => !seen.has(run.id) && seen.add(run.id));
  return {
    runs,
    total: state.total,
    error: state.key === key ? state.error : undefined,
    waiting: state.key !== key,
    more,
    refresh: () => setRound((n) => n + 1),
  };
}
