// What plots on canvases share.

/** Clear a canvas and give it this size in CSS pixels, sharp on the screen. Return null if it has no size yet. */
export function prepareCanvas(
  canvas: HTMLCanvasElement | null,
  width: number,
  height: number,
): CanvasRenderingContext2D | null {
  if (!canvas || width <= 0 || height <= 0) return null;
  const [pixelWidth, pixelHeight] = [Math.round(width * devicePixelRatio), Math.round(height * devicePixelRatio)];
  if (canvas.width !== pixelWidth || canvas.height !== pixelHeight) {
    canvas.width = pixelWidth;
    canvas.height = pixelHeight;
  }
  const ctx = canvas.getContext("2d")!;
  ctx.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  ctx.clearRect(0, 0, width, height);
  return ctx;
}

/** Return a colour of the theme. */
export function themeColor(element: Element, name: string): string {
  return getComputedStyle(element).getPropertyValue(name).trim();
}

/** Return the opacity for so many lines or points that overlap. */
export function opacity(count: number): number {
  return count < 60 ? 0.9 : count < 400 ? 0.65 : count < 2000 ? 0.4 : 0.22;
}
