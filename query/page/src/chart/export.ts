// Export of a panel: as PNG, as SVG, or as CSV.
import type { Line } from "./lines";
import type { Drawing } from "./svg";

export async function exportPng(panel: Element, name: string): Promise<void> {
  const canvas = panel.querySelector("canvas");
  if (!canvas) return;
  const copy = document.createElement("canvas");
  copy.width = canvas.width;
  copy.height = canvas.height;
  const ctx = copy.getContext("2d")!;
  ctx.fillStyle = getComputedStyle(panel).backgroundColor;
  ctx.fillRect(0, 0, copy.width, copy.height);
  ctx.drawImage(canvas, 0, 0);
  const blob = await new Promise<Blob | null>((resolve) => copy.toBlob(resolve));
  if (blob) save(blob, `${fileName(name)}.png`);
}

/** Save the panel as SVG, at its size and in its colours on the screen. */
export async function exportSvg(panel: Element, drawing: Omit<Drawing, "width" | "height" | "colors">): Promise<void> {
  const { svgOf } = await import("./svg");
  const style = getComputedStyle(panel);
  const color = (name: string) => style.getPropertyValue(name).trim();
  const colors = { ink: color("--ink"), quiet: color("--quiet"), grid: color("--grid"), surface: color("--surface") };
  const { width, height } = panel.getBoundingClientRect();
  const text = svgOf({ ...drawing, width: Math.round(width), height: Math.round(height), colors });
  save(new Blob([text], { type: "image/svg+xml" }), `${fileName(drawing.title)}.svg`);
}

/** Save the drawn values: a row for each bucket. */
export function exportCsv(name: string, lines: readonly Line[]): void {
  const rows = ["run,note,step,x,mean,min,max,not_finite"];
  for (const line of lines) {
    for (let i = 0; i < line.xs.length; i++) {
      const cells = [
        quoteCell(line.label),
        quoteCell(line.note ?? ""),
        line.steps[i],
        line.xs[i],
        line.ys[i],
        line.lows[i],
        line.highs[i],
        line.nonFinite[i],
      ];
      rows.push(cells.join(","));
    }
  }
  save(new Blob([rows.join("\n"), "\n"], { type: "text/csv" }), `${fileName(name)}.csv`);
}

/** Quote a cell. A spreadsheet must not read a name as a formula. */
export function quoteCell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function fileName(text: string): string {
  return text.replace(/[^\p{L}\p{N}._-]+/gu, "_").slice(0, 100) || "panel";
}
