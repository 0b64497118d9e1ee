// A hook for a list that grows at its newest end: it loads the first page again and again, and older pages on request.
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, loggedIn } from "./client";

export interface Page<T> {
  items: T[];
  /** Token of the next older page; empty if there is none. */
  next: string;
}

export interface NewestFirst<T> {
  /** The items, the newest first; undefined until the first answer arrives. */
  items: T[] | undefined;
  error: ApiError | undefined;
  /** Load the next older page; undefined if there is none. */
  loadOlder: (() => void) | undefined;
}

interface List<T> {
  key: string;
  items: ReadonlyMap<string, T>;
  next: string;
  error?: ApiError;
}

/**
 * `keyOf` returns a unique name of an item. With `everyMs` 0 the first page is loaded only once. `order` sorts the
 * items.
 */
export function useNewestFirst<T>(
  key: string,
  loadPage: (token: string, signal: AbortSignal) => Promise<Page<T>>,
  keyOf: (item: T) => string,
  order: (a: T, b: T) => number,
  everyMs: number,
): NewestFirst<T> {
  const [list, setList] = useState<List<T>>({ key: "", items: new Map(), next: "" });
  const latestLoadPage = useRef(loadPage);
  latestLoadPage.current = loadPage;
  const currentController = useRef(new AbortController());
  const isLoading = useRef(false);
  const addPage = (page: Page<T>, first: boolean) =>
    setList((before) => {
      const known = before.key === key;
      const items = new Map(known ? before.items : []);
      for (const item of page.items) items.set(keyOf(item), item);
      return { key, items, next: known && first ? before.next : page.next };
    });
  // biome-ignore lint/correctness/useExhaustiveDependencies: `addPage` does the same for the same key
  useEffect(() => {
    const controller = new AbortController();
    currentController.current = controller;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const poll = async () => {
      try {
        if (document.visibilityState !== "hidden") addPage(await latestLoadPage.current("", controller.signal), true);
      } catch (failure) {
        if (controller.signal.aborted) return;
        const error = failure instanceof ApiError ? failure : new ApiError("INTERNAL", String(failure));
        setList((before) => ({
          ...(before.key === key ? before : { items: new Map<string, T>(), next: "" }),
          key,
          error,
        }));
      }
      if (everyMs && loggedIn.value && !controller.signal.aborted) timer = setTimeout(poll, everyMs);
    };
    void poll();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [key, everyMs]);
  const loadOlder = () => {
    if (isLoading.current) return;
    isLoading.current = true;
    latestLoadPage
      .current(list.next, currentController.current.signal)
      .then((page) => addPage(page, false))
      .catch(() => undefined) // the user can press the button again
      .finally(() => (isLoading.current = false));
  };
  if (list.key !== key) return { items: undefined, error: undefined, loadOlder: undefined };
  const items = list.items.size || !list.error ? [...list.items.values()].sort(order) : undefined;
  return { items, error: list.error, loadOlder: list.next ? loadOlder : undefined };
}
