import { Lexer } from "marked";
import { describe, expect, it } from "vitest";
import CORPUS from "../../../tests/browser/corpus.json";
import type { Run } from "../src/api/contract";
import {
  countTags,
  type EditableFields,
  fieldChange,
  parseTags,
  restoreTagsChanges,
  tagChange,
} from "../src/edit/runChanges";
import { panelBlock, parseSpec } from "../src/report/blockSpec";
import { decodeEntities, isOwnImage, safeHref } from "../src/report/markdownText";
import { isSameView, viewContent, viewToQuery } from "../src/saved/viewQuery";

const BASE = "https://runs.example/acme/p";
const run = (id: string, ...tags: string[]) => ({ id, tags }) as Run;

describe("a saved view", () => {
  it("is the URL's query, and leads back to the same query", () => {
    const query = new URLSearchParams([
      ["f", "config.lr ~ > ~ 0.1"],
      ["col", "a/b"],
      ["col", "-"],
      ["find", '<b> "x" #1 ä'],
      ["view", "old"],
      ["full", "loss"],
    ]);
    const content = viewContent(query);
    expect(content).not.toMatch(/[\s"<>#]|^\?/);
    const again = new URLSearchParams(viewToQuery(content, "new"));
    expect(again.getAll("view")).toEqual(["new"]);
    expect(viewContent(again)).toBe(content);
    expect(again.get("find")).toBe('<b> "x" #1 ä');
  });
  it("is the same whatever the order of names, but not of values", () => {
    expect(isSameView("a=1&b=2", "b=2&a=1")).toBe(true);
    expect(isSameView("col=a&col=b", "col=b&col=a")).toBe(false);
    expect(isSameView("", "a=1")).toBe(false);
  });
  it("of hostile text names no other view and no path", () => {
    for (const text of CORPUS)
      expect(viewToQuery(`view=${encodeURIComponent(text)}&q=${encodeURIComponent(text)}`, "own")).toMatch(
        /^\?q=[^\s<>"]*&view=own$/,
      );
  });
});

describe("a live block", () => {
  it("says what is drawn", () => {
    const spec = parseSpec(
      "title: Loss\nmetrics: train/loss, val/*\n\n# a remark\nfilter: config.lr >= 0.1\n" +
        "filter: state one of finished, failed\nfilter: tags exists\n" +
        "smoothing: 0.9\nx: time\nlog: yes\noutliers: no\nlimit: 5\nheight: 300",
    );
    expect(spec).toMatchObject({ title: "Loss", metrics: ["train/loss", "val/*"], limit: 5, height: 300, runs: [] });
    expect(spec.conditions).toEqual([
      { field: "config.lr", operator: "≥", value: "0.1" },
      { field: "state", operator: "one of", value: "finished, failed" },
      { field: "tags", operator: "exists", value: "yes" },
    ]);
    expect(spec.chartQuery.toString()).toBe("smooth=0.9&x=time&log=1&robust=1");
  });
  it("says which line cannot be read", () => {
    expect(() => parseSpec("metrics: a\nsmooting: 1")).toThrow(/^line 2: write one of title, metrics/);
    expect(() => parseSpec("smoothing: 2")).toThrow("line 1: expected a number from 0 to 0.999, not 2");
    expect(() => parseSpec("limit:")).toThrow("not nothing");
    expect(() => parseSpec("zoom: 5:1")).toThrow("100:2000");
    expect(() => parseSpec("log: perhaps")).toThrow("one of yes, no");
    expect(() => parseSpec("filter: config.lr")).toThrow("config.lr > 0.1");
    expect(() => parseSpec("a:\n".repeat(200))).toThrow("at most 100 lines");
  });
  it("copied from a panel draws the same", () => {
    const query = new URLSearchParams([
      ["f", "state ~ = ~ finished"],
      ["smooth", "0.5"],
      ["flip", "loss"],
      ["robust", "1"],
      ["xm", "epoch"],
      ["sort", "-created_at"],
    ]);
    const spec = parseSpec(panelBlock("loss", query, null).replace(/^```panel\n|```\n$/g, ""));
    expect(spec).toMatchObject({
      metrics: ["loss"],
      runs: [],
      order: "-created_at",
      conditions: [{ field: "state", operator: "=", value: "finished" }],
    });
    expect(spec.chartQuery.toString()).toBe("smooth=0.5&xm=epoch&log=1&robust=1");
    expect(parseSpec(panelBlock("loss", query, ["a", "b"]).replace(/^```panel\n|```\n$/g, "")).runs).toEqual([
      "a",
      "b",
    ]);
  });
});

describe("links of a report", () => {
  it("lead to pages and mailboxes only", () => {
    for (const href of ["/acme/p", "#part", "https://a.example", "http://a.example", "mailto:a@b.example", "other?x=1"])
      expect(safeHref(href, BASE)).toBe(href);
    for (const href of [
      "javascript:alert(1)",
      "JaVaScRiPt:alert(1)",
      " java\nscript:alert(1)",
      "\u0001javascript:alert(1)",
      "data:text/html,x",
      "vbscript:x",
      "blob:https://runs.example/1",
      "file:///etc/passwd",
      "https://",
    ])
      expect(safeHref(href, BASE)).toBeNull();
    expect(safeHref(decodeEntities("java&#115;cript&#58;alert(1)"), BASE)).toBeNull();
    for (const text of CORPUS) {
      for (const token of Lexer.lex(`[a](${text}) <${text}>`).flatMap((item) =>
        "tokens" in item ? (item.tokens ?? []) : [],
      )) {
        if (token.type === "link")
          expect(["http:", "https:", "mailto:", null]).toContain(
            safeHref(token.href as string, BASE) && new URL(token.href as string, BASE).protocol,
          );
      }
    }
  });
  it("show pictures of this server only", () => {
    expect(isOwnImage("/api/v1/media/acme/p/abc", BASE)).toBe("/api/v1/media/acme/p/abc");
    for (const href of [
      "https://other.example/a.png",
      "//other.example/api/v1/media/a",
      "/api/v1/WhoAmI",
      "data:image/png;base64,AA",
      "/api/v1/media/../WhoAmI",
    ])
      expect(isOwnImage(href, BASE)).toBeNull();
  });
  it("know entities, and leave what is none", () => {
    expect(decodeEntities("a &lt;b&gt; &amp;amp; &#65;&#x42; &nope; &#xD800; &#0; AT&T")).toBe(
      "a <b> &amp; AB &nope; &#xD800; &#0; AT&T",
    );
  });
});

describe("editing runs", () => {
  const runs = [run("a", "x", "y"), run("b", "x"), run("c", "y", "x")];
  it("changes only the runs that differ, and can be taken back", () => {
    expect(countTags(runs)).toEqual([
      ["x", 3],
      ["y", 2],
    ]);
    expect(tagChange(runs, ["y"], [])).toEqual({ runs: ["b"], add_tags: ["y"] });
    expect(tagChange(runs, ["x"], ["z"])).toBeNull();
    expect(restoreTagsChanges([...runs, run("d", "x")])).toEqual([
      { runs: ["a"], tags: { tags: ["x", "y"] } },
      { runs: ["b", "d"], tags: { tags: ["x"] } },
      { runs: ["c"], tags: { tags: ["y", "x"] } },
    ]);
  });
  it("sends the fields that were changed", () => {
    const before: EditableFields = { name: "n", notes: "", group: "g", tags: ["a"] };
    expect(fieldChange("r", before, { ...before })).toBeNull();
    expect(fieldChange("r", before, { ...before, notes: "why", tags: [] })).toEqual({
      runs: ["r"],
      notes: "why",
      tags: { tags: [] },
    });
    expect(parseTags(" a, b,, a ,<b>")).toEqual(["a", "b", "<b>"]);
  });
});
