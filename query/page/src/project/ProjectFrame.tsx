// What a project's views share: its tabs, its runs, which of them are shown, and their colours.
import type { ComponentChildren } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import type { ListRunsResponse, Run } from "../api/contract";
import { call } from "../api/client";
import { type Answer, useAnswer } from "../api/useQuery";
import { path, place, setQuery } from "../state/route";
import { colorsOf } from "../lib/colors";
import { toText, withChanges } from "../lib/urlQuery";
import { questionOf, requestOf } from "./runQuery";
import { Icon, type IconName } from "../ui/Icon";

export const SHOWN_AT_FIRST = 10;
export const MOST_SHOWN = 100;
const LISTED = 200;

export interface ProjectProps {
  team: string;
  project: string;
  rest: string[];
}

/** Runs as the URL asks for them, without their columns; again every 2 s. */
export function useRuns(team: string, project: string): Answer<ListRunsResponse> {
  const request = { team, project, ...requestOf(questionOf(place.value.query)), fields: ["none"], page_size: LISTED };
  return useAnswer(`runs ${JSON.stringify(request)}`, (signal) => call("ListRuns", request, signal), 2000, true);
}

/** The first runs of the list, and what the user has switched on and off: in the URL. */
export function chosenRuns(runs: readonly Run[], query: URLSearchParams): Run[] {
  const only = query.getAll("run");
  if (only.length) {
    const wanted = new Set(only);
    return runs.filter((run) => wanted.has(run.id));
  }
  const on = new Set(query.getAll("on"));
  const off = new Set(query.getAll("off"));
  return runs.filter((run, at) => (at < SHOWN_AT_FIRST || on.has(run.id)) && !off.has(run.id)).slice(0, MOST_SHOWN);
}

export function switchRun(run: string, shown: boolean, place_in_list: number): void {
  const query = place.value.query;
  const on = new Set(query.getAll("on"));
  const off = new Set(query.getAll("off"));
  on.delete(run);
  off.delete(run);
  if (shown && place_in_list >= SHOWN_AT_FIRST) on.add(run);
  if (!shown && place_in_list < SHOWN_AT_FIRST) off.add(run);
  setQuery({ on: [...on], off: [...off], run: null });
}

/** Colours that users gave: `color=run:place`. */
export function useColors(runs: readonly Run[]): Map<string, string> {
  const given = place.value.query.getAll("color").join(" ");
  const ids = runs.map((run) => run.id).join(" ");
  return useMemo(() => {
    const chosen = new Map<string, number>();
    for (const text of place.value.query.getAll("color")) {
      const at = text.lastIndexOf(":");
      chosen.set(text.slice(0, at), Number(text.slice(at + 1)) || 0);
    }
    const oldest = [...runs].sort((a, b) => (a.created ?? "").localeCompare(b.created ?? "") || a.id.localeCompare(b.id));
    return colorsOf(oldest.map((run) => run.id), chosen);
  }, [ids, given]);
}

export function setColor(run: string, place_in_palette: number | null): void {
  const others = place.value.query.getAll("color").filter((text) => text.slice(0, text.lastIndexOf(":")) !== run);
  setQuery({ color: place_in_palette === null ? others : [...others, `${run}:${place_in_palette}`] });
}

const KEPT = ["on", "off", "run", "color", "find", "f", "sort", "group"];

export function ProjectFrame(props: { team: string; project: string; tab: string; children: ComponentChildren; tools?: ComponentChildren }) {
  useEffect(() => {
    document.title = `${props.project} · runstream`;
  }, [props.project]);
  const kept = new URLSearchParams();
  for (const name of KEPT) for (const value of place.value.query.getAll(name)) kept.append(name, value);
  const address = (view: string) => path(props.team, props.project, ...(view ? [view] : [])) + toText(withChanges(kept, {}));
  const tab = (name: string, view: string, icon: IconName) => (
    <a href={address(view)} aria-current={props.tab === name ? "page" : undefined}>
      <Icon name={icon} />
      {name}
    </a>
  );
  return (
    <div class="project">
      <h1 class="unseen">{props.project}: {props.tab}</h1>
      <nav class="tabs" aria-label="Views of the project">
        {tab("Charts", "", "chart")}
        {tab("Runs", "table", "table")}
        {tab("Explore", "explore", "lines")}
        {tab("Sweeps", "sweeps", "sweep")}
        {tab("Reports", "reports", "report")}
        <span class="grow" />
        {props.tools}
      </nav>
      {props.children}
    </div>
  );
}
