import { describe, expect, it } from "vitest";
import type { Curve } from "../src/api/wire";
import { readLook } from "../src/chart/look";
import { quoted } from "../src/chart/export";
import { logTicks, WHOLE, xRange, yRange } from "../src/chart/scales";
import { lineOf } from "../src/chart/series";

const CURVE = {
  first_steps: Float64Array.of(0, 10, 20),
  means: Float64Array.of(1, NaN, 3),
  mins: Float64Array.of(0.5, NaN, 2),
  maxs: Float64Array.of(1.5, NaN, 40),
  not_finite: Float64Array.of(0, 10, 0),
  xs: Float64Array.of(100, 101, 102),
} as unknown as Curve;
const LOOK = { id: "a", label: "a", color: "#000" };

describe("a line", () => {
  it("has the bucket's mean, band and what is not finite", () => {
    const line = lineOf(CURVE, "step", LOOK);
    expect([...line.xs]).toEqual([0, 10, 20]);
    expect(line.banded).toBe(true);
    expect([...line.wrong]).toEqual([0, 10, 0]);
    expect([...lineOf(CURVE, "wall", LOOK).xs]).toEqual([100, 101, 102]);
  });
  it("is seen whole: the y axis reaches a spike that only the band has", () => {
    const line = lineOf(CURVE, "step", LOOK);
    expect(yRange([line], xRange([line], null), { log: false, robust: false })![1]).toBeGreaterThan(40);
    expect(yRange([line], [0, 5], { log: false, robust: false })![1]).toBeLessThan(2);
    expect(yRange([], [0, 1], { log: false, robust: false })).toBeNull();
  });
  it("of one point has room on the x axis", () => expect(xRange([lineOf({ ...CURVE, first_steps: Float64Array.of(7) } as Curve, "step", LOOK)], null)).not.toEqual([7, 7]));
});

describe("ticks", () => {
  it("of steps are whole", () => expect(WHOLE.every(Number.isInteger)).toBe(true));
  it("of a logarithmic axis lie within it and are few", () => {
    for (const range of [[1e-7, 1e5], [0.9, 5], [1, 1e300], [3, 4]] as const) {
      const ticks = logTicks(range);
      expect(ticks.length).toBeLessThanOrEqual(9);
      expect(ticks.every((tick) => tick >= range[0] && tick <= range[1])).toBe(true);
    }
    expect(logTicks([0.01, 100])).toEqual([0.01, 0.1, 1, 10, 100]);
  });
});

describe("a view's look", () => {
  it("comes from the URL", () => {
    const look = readLook(new URLSearchParams("x=time&smooth=0.6&log=1&zoom=5:9&size=a%40b@2x300&flip=loss"));
    expect(look).toMatchObject({ axis: "time", smoothing: 0.6, log: true, zoom: [5, 9] });
    expect(look.sizes.get("a@b")).toEqual([2, 300]);
    expect(readLook(new URLSearchParams("x=evil&smooth=9&size=a@9x9")).sizes.size).toBe(0);
  });
});

describe("CSV", () => {
  it("gives a spreadsheet no formula", () => {
    expect(quoted("=cmd()")).toBe("'=cmd()");
    expect(quoted('a,"b"')).toBe('"a,""b"""');
  });
});
