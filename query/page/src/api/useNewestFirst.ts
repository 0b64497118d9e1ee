// A list that grows at its newest end: the first page again and again, older pages when they are asked for.
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, loggedIn } from "./client";

export interface Page<T> {
  items: T[];
  /** Of the next older page; empty: there is none. */
  next: string;
}

export interface Newest<T> {
  /** Newest first; undefined: nothing has come yet. */
  items: T[] | undefined;
  error: ApiError | undefined;
  /** Asks for the next older page; undefined: there is none. */
  older: (() => void) | undefined;
}

interface Found<T> {
  key: string;
  items: ReadonlyMap<string, T>;
  next: string;
  error?: ApiError;
}

/** `name`: what an item is called, unique; `everyMs` 0: the first page is asked for once. Items stay in `order`. */
export function useNewest<T>(
  key: string,
  ask: (token: string, signal: AbortSignal) => Promise<Page<T>>,
  name: (item: T) => string,
  order: (a: T, b: T) => number,
  everyMs: number,
): Newest<T> {
  const [found, setFound] = useState<Found<T>>({ key: "", items: new Map(), next: "" });
  const asking = useRef(ask);
  asking.current = ask;
  const end = useRef(new AbortController());
  const busy = useRef(false);
  const take = (page: Page<T>, first: boolean) =>
    setFound((before) => {
      const known = before.key === key;
      const items = new Map(known ? before.items : []);
      for (const item of page.items) items.set(name(item), item);
      return { key, items, next: known && first ? before.next : page.next };
    });
  useEffect(() => {
    const own = (end.current = new AbortController());
    let timer: ReturnType<typeof setTimeout> | undefined;
    const turn = async () => {
      try {
        if (document.visibilityState !== "hidden") take(await asking.current("", own.signal), true);
      } catch (problem) {
        if (own.signal.aborted) return;
        const error = problem instanceof ApiError ? problem : new ApiError("INTERNAL", String(problem));
        setFound((before) => ({
          ...(before.key === key ? before : { items: new Map<string, T>(), next: "" }),
          key,
          error,
        }));
      }
      if (everyMs && loggedIn.value && !own.signal.aborted) timer = setTimeout(turn, everyMs);
    };
    void turn();
    return () => {
      own.abort();
      clearTimeout(timer);
    };
  }, [key, everyMs]);
  const older = () => {
    if (busy.current) return;
    busy.current = true;
    asking
      .current(found.next, end.current.signal)
      .then((page) => take(page, false))
      .catch(() => undefined) // pressed again, it asks again
      .finally(() => (busy.current = false));
  };
  if (found.key !== key) return { items: undefined, error: undefined, older: undefined };
  const items = found.items.size || !found.error ? [...found.items.values()].sort(order) : undefined;
  return { items, error: found.error, older: found.next ? older : undefined };
}
