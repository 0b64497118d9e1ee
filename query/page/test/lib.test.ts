import { describe, expect, it } from "vitest";
import { parseAnsi } from "../src/lib/ansi";
import { assignColors, difference, PALETTE } from "../src/lib/colors";
import { compareValues, flatten } from "../src/lib/flatten";
import {
  formatAgo,
  formatBytes,
  formatDuration,
  formatNumber,
  formatTick,
  ranksSeen,
  toNumber,
} from "../src/lib/format";
import { groupIntoSections, matcher, PINNED, prefixOf } from "../src/lib/panels";
import { extent, lowerBound, nearest, robustExtent, withMargin } from "../src/lib/range";
import { smooth } from "../src/lib/smooth";
import { queryToText, readChoice, readNumber, readRange, withChanges } from "../src/lib/urlQuery";

describe("numbers", () => {
  it.each([
    [0, "0"],
    [0.03125, "0.03125"],
    [1234567, "1,234,567"],
    [-1.5, "−1.5"],
    [1 / 3, "0.33333"],
    [1e-7, "1e−7"],
    [12345.678, "12,346"],
    [-0.5, "−0.5"],
    [NaN, "NaN"],
    [Infinity, "∞"],
    [-Infinity, "−∞"],
    [2.5e12, "2,500,000,000,000"],
    [2.5e-300, "2.5e−300"],
    [1e300, "1e300"],
  ])("%d reads %s", (value, text) => expect(formatNumber(value)).toBe(text.replace("2,500,000,000,000", "2.5e12")));
  it("say which ranks have reported", () => {
    const streams = [{ rank: 0 }, { rank: 0 }, { rank: 3 }];
    expect([ranksSeen(1, streams), ranksSeen(4, streams), ranksSeen(2, streams), ranksSeen(4, [])]).toEqual([
      "",
      "2 of 4 ranks",
      "2 ranks",
      "4 ranks",
    ]);
  });
  it("are numbers again from the API's JSON", () => {
    expect(toNumber("Infinity")).toBe(Infinity);
    expect(toNumber("NaN")).toBeNaN();
    expect(toNumber(undefined)).toBeNaN();
  });
  it("are short on axes", () => {
    expect([0, 1500, 20_000, 3e6, 0.25, 2e-5, -40].map(formatTick)).toEqual([
      "0",
      "1500",
      "20k",
      "3M",
      "0.25",
      "2e−5",
      "−40",
    ]);
  });
  it("are durations, ages and sizes", () => {
    expect([2.1e-6, 0.0077, 4, 75, 3600, 90_061].map(formatDuration)).toEqual([
      "2.1 µs",
      "7.7 ms",
      "4 s",
      "1 m 15 s",
      "1 h",
      "1 d 1 h",
    ]);
    const now = Date.parse("2026-01-02T00:00:00Z");
    expect(formatAgo("2026-01-01T23:59:30Z", now)).toBe("30 s ago");
    expect(formatAgo(undefined)).toBe("–");
    expect(formatBytes(1536)).toBe("1.5 KiB");
  });
});

describe("smoothing", () => {
  const xs = Float64Array.from({ length: 1000 }, (_, i) => i);
  it("begins with the first value itself", () => expect(smooth(xs, [5, 5, 5], 0.9, 3)[0]).toBe(5));
  it("changes nothing at 0", () => expect([...smooth(xs, [1, 4, 2], 0, 3)]).toEqual([1, 4, 2]));
  it("does not depend on how dense the curve is", () => {
    const dense = smooth(
      xs,
      xs.map((x) => x),
      0.8,
      1000,
    );
    const sparse = smooth(
      xs.filter((_, i) => i % 5 === 0),
      xs.filter((_, i) => i % 5 === 0),
      0.8,
      1000,
    );
    expect(Math.abs(dense.at(-5)! - sparse.at(-1)!)).toBeLessThan(10);
  });
  it("leaves NaN where it is, and goes on after it", () => {
    const out = smooth([0, 1, 2], [1, NaN, 1], 0.9, 2);
    expect([...out]).toEqual([1, NaN, 1]);
  });
});

describe("ranges", () => {
  it("pass over what is not finite, and with a logarithm over what is not positive", () => {
    expect(extent([[NaN, 3, -1], [Infinity]])).toEqual([-1, 3]);
    expect(extent([[NaN, 3, -1]], true)).toEqual([3, 3]);
    expect(extent([[NaN]])).toBeNull();
  });
  it("leave outliers out", () => {
    const values = Array.from({ length: 1000 }, (_, i) => (i === 500 ? 1e9 : i / 1000));
    expect(robustExtent([values])![1]).toBeLessThan(1);
    expect(robustExtent([[]])).toBeNull();
  });
  it("have room", () => {
    expect(withMargin([0, 100])).toEqual([-6, 106]);
    expect(withMargin([5, 5])).toEqual([4.5, 5.5]);
    expect(withMargin([0, 0])).toEqual([-1, 1]);
  });
  it("are searched", () => {
    expect(nearest([0, 10, 20], 14)).toBe(1);
    expect(nearest([0, 10, 20], 99)).toBe(2);
    expect(nearest([], 1)).toBe(-1);
    expect(lowerBound([0, 10, 20], 10)).toBe(1);
    expect(lowerBound([0, 10, 20], 21)).toBe(3);
  });
});

describe("panels", () => {
  it("are in sections by prefix, pinned first, system last", () => {
    const sections = groupIntoSections(
      ["train/loss", "lr", "system/node0/cpu", "val/acc", "train/acc", "system/node0/gpu.0"],
      ["val/acc"],
    );
    expect(sections.map((item) => item.name)).toEqual([PINNED, "Charts", "train", "system/node0"]);
    expect(sections[2]!.metrics).toEqual(["train/acc", "train/loss"]);
  });
  it("are found by a regular expression, or by the text where it is none", () => {
    expect(["train/loss", "grad_norm"].filter(matcher("grad.*norm"))).toEqual(["grad_norm"]);
    expect(["a[b", "ab"].filter(matcher("["))).toEqual(["a[b"]);
  });
  it("are in natural order", () => {
    expect(groupIntoSections(["a/10", "a/9", "a/1"])[0]!.metrics).toEqual(["a/1", "a/9", "a/10"]);
    expect(prefixOf("a/b/c")).toBe("a");
  });
});

describe("the URL", () => {
  it("holds what differs from the defaults, and keeps the rest", () => {
    const query = withChanges(new URLSearchParams("q=loss&pin=a&pin=b"), {
      q: null,
      pin: ["b/c"],
      log: true,
      smooth: 0.5,
    });
    expect(queryToText(query)).toBe("?pin=b/c&log=1&smooth=0.5");
    expect(queryToText(withChanges(query, { pin: [], log: false, smooth: null }))).toBe("");
  });
  it("is read with care", () => {
    expect(readRange("10:20")).toEqual([10, 20]);
    for (const bad of [null, "", "20:10", "a:b", "1", "1:2:3", ":"]) expect(readRange(bad)).toBeNull();
    expect(readNumber("7", 0, 0, 1)).toBe(1);
    expect(readNumber("x", 0.5, 0, 1)).toBe(0.5);
    expect(readChoice("evil", ["step", "time"])).toBe("step");
  });
});

describe("colours", () => {
  it("stay with their run when newer ones come", () => {
    const before = assignColors(["a", "b", "c"]);
    const after = assignColors(["a", "b", "c", "d", "e"]);
    for (const run of before.keys()) expect(after.get(run)).toBe(before.get(run));
  });
  it("of neighbours in the list are told apart", () => {
    for (let list = 0; list < 200; list++) {
      const colors = [...assignColors(Array.from({ length: 12 }, (_, i) => `run-${list}-${i}`)).values()];
      for (let i = 2; i < colors.length; i++) {
        for (const near of [colors[i - 1]!, colors[i - 2]!]) expect(difference(colors[i]!, near)).toBeGreaterThan(0.1);
      }
    }
  });
  it("differ as long as there are enough", () => {
    const runs = Array.from({ length: PALETTE.length }, (_, i) => `run-${i}`);
    expect(new Set(assignColors(runs).values()).size).toBe(PALETTE.length);
    expect(assignColors([...runs, "one-more", "another"]).size).toBe(PALETTE.length + 2);
  });
  it("are what the user chose", () => expect(assignColors(["a"], new Map([["a", 3]])).get("a")).toBe(PALETTE[3]));
  it.each(PALETTE)("%s is seen on both backgrounds", (color) => {
    for (const background of ["#ffffff", "#141921"]) expect(contrast(color, background)).toBeGreaterThanOrEqual(3);
  });
});

describe("config", () => {
  it("is flat, and compared key by key", () => {
    const rows = compareValues([flatten({ a: { b: 1, c: {} }, list: [1] }), flatten({ a: { b: 2, c: {} } })]);
    expect(rows.map((row) => [row.key, row.differs])).toEqual([
      ["a.b", true],
      ["a.c", false],
      ["list", true],
    ]);
  });
});

function contrast(a: string, b: string): number {
  const light = (color: string) => {
    const parts = [1, 3, 5]
      .map((index) => Number.parseInt(color.slice(index, index + 2), 16) / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * parts[0]! + 0.7152 * parts[1]! + 0.0722 * parts[2]!;
  };
  const [x, y] = [light(a), light(b)];
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
}

describe("console lines", () => {
  it("keep colours, and lose everything else that a terminal would do", () => {
    expect(parseAnsi("\x1b[1;31mbad\x1b[0m \x1b[2K\x1b]0;title\x07plain\x07")).toEqual([
      { text: "bad", classes: "c1 bold" },
      { text: " ", classes: "" },
      { text: "plain", classes: "" },
    ]);
    expect(parseAnsi("\x1b[38;2;1;2;3mtrue\x1b[38;5;9mindexed\x1b[")).toEqual([
      { text: "true", classes: "" },
      { text: "indexed[", classes: "c9" },
    ]);
    expect(parseAnsi("")).toEqual([]);
  });
});
