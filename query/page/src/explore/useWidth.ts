import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

/** Return a ref and the current width of its element in pixels. */
export function useWidth(): [RefObject<HTMLDivElement | null>, number] {
  const element = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const resized = new ResizeObserver(() => setWidth(element.current?.clientWidth ?? 0));
    resized.observe(element.current!);
    setWidth(element.current!.clientWidth);
    return () => resized.disconnect();
  }, []);
  return [element, width];
}
