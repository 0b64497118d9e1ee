import { describe, expect, it } from "vitest";
import type { FieldInfo, Run } from "../src/api/contract";
import { visibleItems, visibleRows } from "../src/lib/virtualList";
import { type Condition, conditionFromText, conditionToText, toFilter } from "../src/project/filters";
import { readRunQuery } from "../src/project/runQuery";
import { defaultColumns, flattenedValues, toRunColumn, withColumn } from "../src/table/runColumns";

describe("filters", () => {
  const conditions: Condition[] = [
    { field: "config.lr", operator: "<", value: "1e-3" },
    { field: "state", operator: "one of", value: "failed, crashed" },
    { field: "notes", operator: "contains", value: "a+b ~ c" },
    { field: "tags", operator: "=", value: '"7"' },
    { field: "config.seed", operator: "exists", value: "no" },
  ];
  it("become the API's language, with typed values", () => {
    expect(JSON.parse(toFilter(conditions))).toEqual({
      $and: [
        { "config.lr": { $lt: 0.001 } },
        { state: { $in: ["failed", "crashed"] } },
        { notes: { $regex: "(?i)a\\+b ~ c" } },
        { tags: { $eq: "7" } },
        { "config.seed": { $exists: false } },
      ],
    });
    expect(toFilter([])).toBe("");
    expect(toFilter([{ field: "x", operator: "=", value: "true" }])).toBe('{"x":{"$eq":true}}');
    expect(toFilter([{ field: "x", operator: "=", value: "" }])).toBe('{"x":{"$eq":""}}');
  });
  it("go through the URL unchanged, and what is none is left out", () => {
    for (const item of conditions) expect(conditionFromText(conditionToText(item))).toEqual(item);
    for (const bad of ["", "a", "a ~ evil ~ b", " ~ = ~ x", "a ~ = ~ b ~ c", "a ~ __proto__ ~ x", "a ~ toString ~ x"])
      expect(conditionFromText(bad)).toBeNull();
    const query = new URLSearchParams();
    for (const item of conditions) query.append("f", conditionToText(item));
    query.append("f", "broken");
    expect(readRunQuery(query).conditions).toEqual(conditions);
  });
});

describe("columns", () => {
  const field = (name: string, runs: number, min?: number, max?: number) =>
    ({
      field: name,
      runs: String(runs),
      kinds: ["number"],
      metric: false,
      ...(min === undefined ? {} : { min, max }),
    }) as FieldInfo;
  it("are at first what varies and what most runs have, no system metrics", () => {
    const found = defaultColumns([
      field("config.seed", 9, 1, 1),
      field("config.lr", 5, 0.1, 0.2),
      field("summary.loss", 9),
      field("summary.system/cpu", 9),
    ]);
    expect(found.slice(-2)).toEqual(["config.lr", "summary.loss"]);
    expect(found).not.toContain("summary.system/cpu");
    expect(found).not.toContain("config.seed");
  });
  it("are put where others of their kind are", () => {
    expect(withColumn(["user", "config.a", "summary.x"], "config.b")).toEqual([
      "user",
      "config.a",
      "config.b",
      "summary.x",
    ]);
    expect(withColumn(["user"], "summary.x")).toEqual(["user", "summary.x"]);
  });
  it("show nested values by their dotted name", () => {
    const run = { config: { optimizer: { lr: 0.5 } }, summary: { loss: "NaN" } } as unknown as Run;
    expect(toRunColumn("config.optimizer.lr").text(run, flattenedValues(run))).toBe("0.5");
    expect(toRunColumn("summary.loss").text(run, flattenedValues(run))).toBe("NaN");
    expect(toRunColumn("summary.none").text(run, flattenedValues(run))).toBe("–");
  });
});

describe("what is on the screen", () => {
  it("is a part of the rows, and the rest is room", () => {
    const part = visibleRows(10_000, 32, 32_000, 640, 0);
    expect(part).toEqual({ from: 1000, to: 1020, before: 32_000, after: 8980 * 32 });
    expect(visibleRows(5, 32, 99_999, 640)).toMatchObject({ from: 5, to: 5, after: 0 });
    expect(visibleRows(0, 32, 0, 640)).toEqual({ from: 0, to: 0, before: 0, after: 0 });
  });
  it("is a part of columns of different widths", () => {
    const part = visibleItems([100, 50, 200, 100], 120, 100, 0);
    expect(part).toEqual({ from: 1, to: 3, before: 100, after: 100 });
    const all = visibleItems([100, 50], 0, 1000);
    expect(all).toEqual({ from: 0, to: 2, before: 0, after: 0 });
  });
});
