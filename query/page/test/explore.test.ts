import { describe, expect, it } from "vitest";
import type { Axis, Objective, Trial } from "../src/api/contract";
import { rangeToText, readBrushes, selectedRows, textToRange, withBrush, writeBrushes } from "../src/explore/brushes";
import { NO_SHADE, SHADES, shadesByRank } from "../src/explore/colorRamp";
import { paretoSteps } from "../src/explore/paretoLine";
import { axisToPlotColumn, canBeLog, cellText, toPlotColumn, varies } from "../src/explore/plotColumns";
import { scaleOf } from "../src/explore/plotScales";
import { toYaml } from "../src/lib/yaml";
import {
  isSettled,
  logScaleParameters,
  mergeTrials,
  optimizationHistory,
  sortRows,
  toPlotRows,
} from "../src/sweep/trials";

describe("columns", () => {
  it("are numbers where all values are, and categories in natural order elsewhere", () => {
    expect(toPlotColumn("a", "a", [3, undefined, 1]).values).toEqual(Float64Array.of(3, NaN, 1));
    const mixed = toPlotColumn("a", "a", ["b10", "b9", true, null, [1]]);
    expect(mixed.categories).toEqual(["[1]", "b9", "b10", "true"]);
    expect([...mixed.values]).toEqual([2, 1, 3, NaN, 0]);
    expect(cellText(mixed, 3, String)).toBe("–");
    expect(cellText(mixed, 0, String)).toBe("b10");
  });
  it("are logarithmic when they span two decades above 0", () => {
    expect(toPlotColumn("a", "a", [0.001, 0.1]).log).toBe(true);
    expect(toPlotColumn("a", "a", [0.001, 0.09]).log).toBe(false);
    expect(toPlotColumn("a", "a", [0, 100]).log).toBe(false);
    expect(canBeLog(toPlotColumn("a", "a", [1, 2]))).toBe(true);
    expect(canBeLog(toPlotColumn("a", "a", [0, 2]))).toBe(false);
    expect(canBeLog(toPlotColumn("a", "a", ["x"]))).toBe(false);
  });
  it("vary when two values differ; what is missing is no value", () => {
    expect(varies(toPlotColumn("a", "a", [1, undefined, 1]))).toBe(false);
    expect(varies(toPlotColumn("a", "a", [0, 1]))).toBe(true);
  });
  it("come from the API with NaN and infinities", () => {
    const axis = {
      field: "summary.loss",
      kind: "AXIS_KIND_LOG",
      categories: [],
      values: [1, "NaN", "Infinity"],
      min: 1,
      max: 1,
    } as Axis;
    const column = axisToPlotColumn(axis);
    expect([column.title, column.log, ...column.values]).toEqual(["loss", true, 1, NaN, Infinity]);
  });
});

describe("ranges as fields", () => {
  const numbers = {
    field: "x",
    title: "x",
    kind: "number",
    categories: [],
    values: Float64Array.of(1, NaN, 5),
    log: false,
  } as const;
  const kinds = {
    ...numbers,
    kind: "category",
    categories: ["a", "b", "c"],
    values: Float64Array.of(0, 1, 2),
  } as const;
  const times = { ...numbers, kind: "time", values: Float64Array.of(1.79e9, 1.8e9) } as const;
  it("have ends that may be open", () => {
    expect(textToRange(numbers, ["2", ""])).toEqual([2, 5]);
    expect(textToRange(numbers, ["", "0.5"])).toEqual([0.5, 0.5]);
    expect(textToRange(numbers, ["", ""])).toBeNull();
    expect(textToRange(numbers, ["3", "2"])).toBe("reversed");
    expect(textToRange(times, ["yesterday", ""])).toBeNull();
  });
  it("come back as they were written", () => {
    const [from, to] = textToRange(kinds, ["1", "2"]) as [number, number];
    expect([...selectedRows([kinds], new Map([["x", [from, to]]]), 3)]).toEqual([0, 1, 1]);
    for (const [column, ends] of [
      [kinds, ["1", "2"]],
      [numbers, ["-1e-7", "0.3"]],
      [times, ["2026-09-22T10:00:01", "2026-09-22T10:00:02"]],
    ] as const) {
      const written = readBrushes(writeBrushes(new Map([["x", textToRange(column, ends) as [number, number]]])));
      expect(rangeToText(column, written.get("x")).map(Number)).toEqual(ends.map(Number));
      if (column.kind === "time") expect(rangeToText(column, written.get("x"))).toEqual(ends);
    }
  });
});

describe("brushes", () => {
  it("survive the URL, also with colons in names", () => {
    const brushes = withBrush(withBrush(new Map(), "config.a:b", [0.001, 0.1]), "x", [-1, 2]);
    expect(readBrushes(writeBrushes(brushes))).toEqual(brushes);
    expect(readBrushes(["x", "x:1", "x:2:1", "x:a:b", ":1:2", "x:NaN:1"]).size).toBe(0);
    expect(withBrush(brushes, "x", null).has("x")).toBe(false);
  });
  it("choose the rows within all of them; NaN is in none", () => {
    const columns = [toPlotColumn("a", "a", [1, 2, undefined, 3]), toPlotColumn("b", "b", [1, 1, 1, 9])];
    expect([
      ...selectedRows(
        columns,
        new Map([
          ["a", [1, 3]],
          ["b", [0, 2]],
        ] as const),
        4,
      ),
    ]).toEqual([1, 1, 0, 0]);
    expect([...selectedRows(columns, new Map([["elsewhere", [5, 6]]] as const), 4)]).toEqual([1, 1, 1, 1]);
  });
});

describe("scales", () => {
  it("have no place for what is not finite, or not positive on a logarithm", () => {
    const column = toPlotColumn("a", "a", [0.001, 1000]);
    const log = scaleOf(column, true, 100, 0, 20);
    expect([log.at(0.001), log.at(1), log.at(1000)].map(Math.round)).toEqual([100, 50, 0]);
    expect([log.at(0), log.at(NaN), log.at(Infinity)]).toEqual([NaN, NaN, NaN]);
    expect(log.invert(50)).toBeCloseTo(1);
    expect(log.ticks.length).toBeLessThanOrEqual(5);
  });
  it("have the values themselves as ticks where they are few, with room for each", () => {
    const sizes = toPlotColumn(
      "a",
      "a",
      Array.from({ length: 40 }, (_, i) => [16, 32, 64, 128][i % 4]!),
    );
    expect(scaleOf(sizes, false, 300, 0, 26).ticks.map((tick) => tick.text)).toEqual(["16", "32", "64", "128"]);
    expect(scaleOf(sizes, false, 30, 0, 26).ticks.map((tick) => tick.text)).toEqual(["16", "128"]);
  });
  it("stand with one value, with none, and with many categories", () => {
    expect(Number.isFinite(scaleOf(toPlotColumn("a", "a", [5]), false, 0, 100, 20).at(5))).toBe(true);
    expect(scaleOf(toPlotColumn("a", "a", []), true, 0, 100, 20).at(NaN)).toBeNaN();
    const many = toPlotColumn(
      "a",
      "a",
      Array.from({ length: 1000 }, (_, i) => `c${i}`),
    );
    expect(scaleOf(many, false, 0, 100, 10).ticks.length).toBeLessThanOrEqual(10);
  });
});

describe("shades", () => {
  it("go by rank from worst to best; ties share one", () => {
    const column = toPlotColumn("a", "a", [1, 2, 1e9, undefined, 2]);
    const shades = shadesByRank(column, true, 5);
    expect([shades[0], shades[3]]).toEqual([SHADES - 1, NO_SHADE]);
    expect(shades[1]).toBe(shades[4]);
    expect(shades[2]).toBe(0);
    expect([...shadesByRank(undefined, true, 2)]).toEqual([NO_SHADE, NO_SHADE]);
  });
});

describe("a front", () => {
  it("is drawn as stairs", () => {
    expect(
      paretoSteps(
        [
          [3, 1],
          [1, 3],
          [2, 2],
          [NaN, 0],
        ],
        false,
      ),
    ).toEqual([
      [1, 3],
      [2, 3],
      [2, 2],
      [3, 2],
      [3, 1],
    ]);
    expect(
      paretoSteps(
        [
          [1, 3],
          [3, 1],
        ],
        true,
      ),
    ).toEqual([
      [1, 3],
      [1, 1],
      [3, 1],
    ]);
    expect(paretoSteps([], true)).toEqual([]);
  });
});

describe("YAML", () => {
  it("reads back as the same values", () => {
    const json =
      '{"lr": 1e-05, "big": 12345678901234567890, "one": 1.0, "n": 3, ' +
      '"model": {"depth": 2, "layers": [1, {"a": true}]}, "name": "yes", "path": "a/b-c", "none": null, "empty": {}}';
    expect(toYaml(json).trimEnd().split("\n")).toEqual([
      "lr: 1.0e-05",
      "big: 12345678901234567890",
      "one: 1.0",
      '"n": 3',
      "model:",
      "  depth: 2",
      "  layers:",
      "    - 1",
      "    - a: true",
      'name: "yes"',
      "path: a/b-c",
      "none: null",
      "empty: {}",
    ]);
  });
  it("quotes whatever might be something else", () => {
    expect(toYaml('{"a: b": "- x\\n# y", "1": "<script>\\u2028"}')).toBe(
      '"1": "<script>\\u2028"\n"a: b": "- x\\n# y"\n',
    );
    expect(toYaml("{}")).toBe("{}\n");
  });
});

function trial(number: number, values: Trial["values"], changes: Partial<Trial> = {}): Trial {
  return {
    sweep: "s",
    number: String(number),
    state: "TRIAL_STATE_FINISHED",
    parameters_json: `{"lr": ${number}}`,
    run: `r${number}`,
    attempt: 1,
    agent: "",
    value_state: values.length ? "VALUE_STATE_KNOWN" : "VALUE_STATE_UNSPECIFIED",
    values,
    exit_code: 0,
    message: "",
    duration_s: 1,
    cost: 0,
    place: "0",
    ended: new Date(1e12 + number * 1000).toISOString(),
    ...changes,
  };
}

describe("trials", () => {
  it("are settled when neither state nor value can change", () => {
    expect(isSettled(trial(1, [1]))).toBe(true);
    expect(isSettled(trial(1, [], { state: "TRIAL_STATE_RUNNING" }))).toBe(false);
    expect(isSettled(trial(1, [], { value_state: "VALUE_STATE_PENDING" }))).toBe(false);
  });
  it("are replaced by newer ones; nothing new is the same list", () => {
    const known = [trial(1, [1]), trial(2, [2])];
    expect(mergeTrials(known, [trial(2, [2])])).toBe(known);
    expect(mergeTrials(known, [trial(10, [3]), trial(2, [9])]).map((item) => [item.number, item.values[0]])).toEqual([
      ["1", 1],
      ["2", 9],
      ["10", 3],
    ]);
  });
  it("are columns of parameters, then of objectives", () => {
    const objectives = [{ metric: "loss", maximize: false, summary: "" }] as Objective[];
    const rows = toPlotRows(
      [trial(1, [5]), trial(2, ["NaN"]), trial(3, [], { parameters_json: '{"model": {"depth": "x"}}' })],
      objectives,
      (item) => item.run,
    );
    expect(rows.columns.map((column) => column.field)).toEqual(["config.lr", "config.model.depth", "value.0"]);
    expect([...rows.columns[2]!.values]).toEqual([5, NaN, NaN]);
    expect(rows.links).toEqual(["r1", "r2", "r3"]);
  });
  it("have logarithmic axes where the definition draws so, whatever was drawn", () => {
    const logs = logScaleParameters(
      '{"parameters": {"lr": {"distribution": "log_uniform_values", "min": 1, "max": 2}, "p": {"min": 0, "max": 1}, ' +
        '"b": {"values": [1, 1000]}, "m": {"parameters": {"w": {"distribution": "q_log_uniform", "min": 0, "max": 9}}}}}',
    );
    expect([...logs]).toEqual([
      ["lr", true],
      ["p", false],
      ["m.w", true],
    ]);
    const rows = toPlotRows(
      [
        trial(1, [], { parameters_json: '{"lr": 1, "p": 0.001, "b": 1}' }),
        trial(2, [], { parameters_json: '{"lr": 2, "p": 1, "b": 1000}' }),
      ],
      [],
      () => "",
      logs,
    );
    expect(rows.columns.map((column) => [column.title, column.log])).toEqual([
      ["b", true],
      ["lr", true],
      ["p", false],
    ]);
    expect(logScaleParameters("{}").size).toBe(0);
  });
  it("have a best so far that NaN, failed and running ones do not touch", () => {
    const list = [
      trial(1, ["NaN"]),
      trial(2, [5]),
      trial(3, [1], { state: "TRIAL_STATE_FAILED" }),
      trial(4, [7]),
      trial(5, [3], { state: "TRIAL_STATE_PRUNED" }),
      trial(6, [], { state: "TRIAL_STATE_RUNNING" }),
      trial(7, [4]),
    ];
    expect(optimizationHistory(list, false).best).toEqual([
      [2, 5],
      [5, 5],
      [5, 3],
      [6, 3],
    ]);
    expect(optimizationHistory(list, true).best).toEqual([
      [2, 5],
      [4, 5],
      [4, 7],
      [6, 7],
    ]);
    expect(optimizationHistory([], true).best).toEqual([]);
  });
  it("are ordered with NaN last in both directions", () => {
    expect(sortRows([2, NaN, 1, 2], false, [0, 1, 2, 3])).toEqual([2, 0, 3, 1]);
    expect(sortRows([2, NaN, 1, 2], true, [0, 1, 2, 3])).toEqual([0, 3, 2, 1]);
  });
});
