// Colours from the worst to the best value. Lightness changes, too, so that they can be read without colour. Pure.

import { extent } from "../lib/range";
import type { PlotColumn } from "./plotColumns";

export const SHADES = 24;

export function colorRamp(isDark: boolean): string[] {
  return Array.from({ length: SHADES }, (_, index) => {
    const share = index / (SHADES - 1);
    const hue = (235 + 140 * share) % 360;
    const [low, high] = isDark ? [0.42, 0.78] : [0.8, 0.53];
    return `oklch(${(low + (high - low) * share).toFixed(3)} ${(0.04 + 0.17 * share).toFixed(3)} ${hue.toFixed(0)})`;
  });
}

export const NO_SHADE = 255;

/**
 * Return a shade for each row, the greatest for the best. NO_SHADE stands for values that are not finite. Shades go by
 * rank, so that one outlier does not use up all colours.
 */
export function shadesByRank(column: PlotColumn | undefined, minimize: boolean, rows: number): Uint8Array {
  const shades = new Uint8Array(rows).fill(NO_SHADE);
  if (!column || !extent([column.values])) return shades;
  const order = Array.from({ length: rows }, (_, row) => row).filter((row) => Number.isFinite(column.values[row]));
  order.sort((a, b) => column.values[a]! - column.values[b]!);
  let first = 0;
  order.forEach((row, position) => {
    if (position && column.values[row] !== column.values[order[position - 1]!]) first = position;
    const share = order.length > 1 ? first / (order.length - 1) : 1;
    shades[row] = Math.round((minimize ? 1 - share : share) * (SHADES - 1));
  });
  return shades;
}
