import { PbfReader, PbfWriter } from "pbf";
import { describe, expect, it, vi } from "vitest";
import { type Curve, readCurve } from "../src/api/wire";
import { logTicks, WHOLE_DISTANCES, xRange, yRange } from "../src/chart/axes";
import { readChartOptions } from "../src/chart/chartOptions";
import { fetchCurves } from "../src/chart/curveRequests";
import { quoteCell } from "../src/chart/export";
import { toLine } from "../src/chart/lines";
import { escapeXml, svgOf, ticks } from "../src/chart/svg";

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
    const line = toLine(CURVE, "step", LOOK);
    expect([...line.xs]).toEqual([0, 10, 20]);
    expect(line.hasBand).toBe(true);
    expect([...line.nonFinite]).toEqual([0, 10, 0]);
    expect([...toLine(CURVE, "wall", LOOK).xs]).toEqual([100, 101, 102]);
  });
  it("is seen whole: the y axis reaches a spike that only the band has", () => {
    const line = toLine(CURVE, "step", LOOK);
    expect(yRange([line], xRange([line], null), { log: false, robust: false })![1]).toBeGreaterThan(40);
    expect(yRange([line], [0, 5], { log: false, robust: false })![1]).toBeLessThan(2);
    expect(yRange([], [0, 1], { log: false, robust: false })).toBeNull();
  });
  it("of one point has room on the x axis", () =>
    expect(xRange([toLine({ ...CURVE, first_steps: Float64Array.of(7) } as Curve, "step", LOOK)], null)).not.toEqual([
      7, 7,
    ]));
});

describe("ticks", () => {
  it("of steps are whole", () => expect(WHOLE_DISTANCES.every(Number.isInteger)).toBe(true));
  it("of a logarithmic axis lie within it and are few", () => {
    for (const range of [
      [1e-7, 1e5],
      [0.9, 5],
      [1, 1e300],
      [3, 4],
    ] as const) {
      const ticks = logTicks(range);
      expect(ticks.length).toBeLessThanOrEqual(9);
      expect(ticks.every((tick) => tick >= range[0] && tick <= range[1])).toBe(true);
    }
    expect(logTicks([0.01, 100])).toEqual([0.01, 0.1, 1, 10, 100]);
  });
});

describe("a view's look", () => {
  it("comes from the URL", () => {
    const options = readChartOptions(
      new URLSearchParams("x=time&smooth=0.6&log=1&zoom=5:9&size=a%40b@2x300&flip=loss"),
    );
    expect(options).toMatchObject({ axis: "time", smoothing: 0.6, log: true, zoom: [5, 9] });
    expect(options.sizes.get("a@b")).toEqual([2, 300]);
    expect(readChartOptions(new URLSearchParams("x=evil&smooth=9&size=a@9x9")).sizes.size).toBe(0);
  });
});

describe("CSV", () => {
  it("gives a spreadsheet no formula", () => {
    expect(quoteCell("=cmd()")).toBe("'=cmd()");
    expect(quoteCell('a,"b"')).toBe('"a,""b"""');
  });
});

describe("SVG", () => {
  const drawing = {
    title: "loss",
    axis: "step",
    log: false,
    robust: false,
    zoom: null,
    width: 400,
    height: 250,
    colors: { ink: "#000", quiet: "#555", grid: "#ddd", surface: "#fff" },
  } as const;
  it("has a path of the data that breaks at NaN, its band, and a cross where values are not finite", () => {
    const text = svgOf({ ...drawing, lines: [toLine(CURVE, "step", LOOK)] });
    expect(text.match(/<circle /g)).toHaveLength(2); // 1 and 3 stand alone
    expect(text).toContain("fill-opacity");
    expect(text).toContain("m-3 -3l6 6");
    const line = toLine({ ...CURVE, means: Float64Array.of(1, 2, 3) } as Curve, "step", LOOK);
    expect(svgOf({ ...drawing, lines: [line] })).toMatch(/<path d="M56 [\d.]+L222 [\d.]+L388 [\d.]+" stroke="#000"/);
    expect(svgOf({ ...drawing, lines: [] })).not.toContain("NaN");
  });
  it("holds no markup of a name, and no character that XML forbids", () => {
    const evil = `</title><script>alert(1)</script>"' onload='x'&\u0000\ud800`;
    const text = svgOf({
      ...drawing,
      title: evil,
      lines: [toLine(CURVE, "step", { ...LOOK, label: evil, color: '"><script>' })],
    });
    expect(text).not.toContain("<script");
    expect(text).not.toContain("\u0000");
    expect(escapeXml('\ud800<a b="c">&\'')).toBe("\ufffd&lt;a b=&quot;c&quot;&gt;&amp;&#39;");
  });
  it("has ticks that are round and within the range", () => {
    expect(ticks([0, 2000], 5, WHOLE_DISTANCES)).toEqual([0, 500, 1000, 1500, 2000]);
    expect(ticks([0.13, 0.58], 4)).toEqual([0.2, 0.4]);
    expect(ticks([1e-300, 5e-300], 4).length).toBeGreaterThan(1);
  });
});

describe("columns of protobuf", () => {
  it("are what the server packs: doubles, whole numbers with a sign, in pieces", () => {
    const pbf = new PbfWriter();
    pbf.writePackedDouble(11, [1.5, NaN, -Infinity]);
    pbf.writePackedSVarint(5, [-3, 0, 2 ** 40]);
    pbf.writePackedVarint(13, [0, 300]);
    pbf.writePackedVarint(13, [7]);
    pbf.writeStringField(2, "loss");
    const bytes = pbf.finish();
    const curve = readCurve(new PbfReader(bytes), bytes.length);
    expect([...curve.means]).toEqual([1.5, NaN, -Infinity]);
    expect([...curve.first_steps]).toEqual([-3, 0, 2 ** 40]);
    expect([...curve.not_finite]).toEqual([0, 300, 7]);
    expect(curve.metric).toBe("loss");
    expect(curve.xs.length).toBe(0);
  });
});

describe("asking for curves", () => {
  it("leaves nothing behind on a signal that outlives many requests", async () => {
    const end = new AbortController();
    let open = 0;
    const { addEventListener, removeEventListener } = end.signal;
    end.signal.addEventListener = (...rest: Parameters<typeof addEventListener>) => {
      open++;
      addEventListener.apply(end.signal, rest);
    };
    end.signal.removeEventListener = (...rest: Parameters<typeof removeEventListener>) => {
      open--;
      removeEventListener.apply(end.signal, rest);
    };
    vi.stubGlobal("fetch", async () => new Response(new Uint8Array()));
    const query = {
      team: "a",
      project: "b",
      runs: ["r"],
      axis: "step",
      xMetric: "",
      range: null,
      buckets: 10,
      eachRank: false,
    } as const;
    for (let round = 0; round < 3; round++) {
      const found = await Promise.all(["x", "y"].map((metric) => fetchCurves({ ...query, metric }, end.signal)));
      expect(found).toEqual([[], []]);
    }
    expect(open).toBe(0);
    vi.unstubAllGlobals();
  });
});
