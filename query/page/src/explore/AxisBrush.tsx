// A range on a vertical axis (d3-brush): drag to select, move or resize it; click to clear it.
import { type BrushBehavior, brushY, type D3BrushEvent } from "d3-brush";
import { select } from "d3-selection";
import { useEffect, useRef } from "preact/hooks";
import type { Scale } from "./plotScales";

const HALF_WIDTH = 13;

export function AxisBrush(props: {
  height: number;
  scale: Scale;
  range: readonly [number, number] | undefined;
  /** `range`: ascending values, or null for none. `isFinal`: the pointer was released. */
  move: (range: readonly [number, number] | null, isFinal: boolean) => void;
}) {
  const group = useRef<SVGGElement>(null);
  const brush = useRef<BrushBehavior<unknown> | null>(null);
  const latest = useRef(props);
  latest.current = props;
  useEffect(() => {
    const element = select<SVGGElement, unknown>(group.current!);
    const onBrush = (event: D3BrushEvent<unknown>) => {
      if (!event.sourceEvent) return; // the change came from the URL
      const { scale, move } = latest.current;
      const pixels = event.selection as [number, number] | null;
      move(pixels && [scale.invert(pixels[1]), scale.invert(pixels[0])], event.type === "end");
    };
    const behavior = brushY()
      .extent([
        [-HALF_WIDTH, 0],
        [HALF_WIDTH, props.height],
      ])
      .on("brush end", onBrush);
    brush.current = behavior;
    element.call(behavior);
    return () => {
      behavior.on("brush end", null);
      element.selectAll("*").remove();
    };
  }, [props.height]);
  useEffect(() => {
    const element = select<SVGGElement, unknown>(group.current!);
    const pixels = props.range?.map((value) => clamp(props.scale.at(value), props.height)).sort((a, b) => a - b) as
      | [number, number]
      | undefined;
    brush.current?.move(element, pixels && pixels[1] > pixels[0] ? pixels : null);
  }, [props.range?.[0], props.range?.[1], props.scale, props.height]);
  return <g class="brush" ref={group} />;
}

function clamp(pixel: number, height: number): number {
  return Number.isNaN(pixel) ? height : Math.min(Math.max(pixel, 0), height);
}
