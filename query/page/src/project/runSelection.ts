// Which runs of a project the views show: the first runs of the list, and those that the user has switched on or off.
import { call } from "../api/client";
import type { ListRunsResponse, Run } from "../api/contract";
import { type QueryResult, useQuery } from "../api/useQuery";
import { route, setQuery } from "../state/route";
import { readRunQuery, toRequest } from "./runQuery";

const SHOWN_AT_FIRST = 10;
const MAX_SHOWN = 100;
const LIST_SIZE = 200;

/** Load the runs that the URL selects, without config and summary, every 2 s. */
export function useRuns(team: string, project: string): QueryResult<ListRunsResponse> {
  const request = {
    team,
    project,
    ...toRequest(readRunQuery(route.value.query)),
    fields: ["none"],
    page_size: LIST_SIZE,
  };
  return useQuery(`runs ${JSON.stringify(request)}`, (signal) => call("ListRuns", request, signal), 2000, true);
}

/** Return the runs to show, from the list and the URL. */
export function selectShownRuns(runs: readonly Run[], query: URLSearchParams): Run[] {
  const only = query.getAll("run");
  if (only.length) {
    const wanted = new Set(only);
    return runs.filter((run) => wanted.has(run.id));
  }
  const on = new Set(query.getAll("on"));
  const off = new Set(query.getAll("off"));
  return runs
    .filter((run, index) => (index < SHOWN_AT_FIRST || on.has(run.id)) && !off.has(run.id))
    .slice(0, MAX_SHOWN);
}

export function setRunShown(run: string, shown: boolean, position: number): void {
  const query = route.value.query;
  const on = new Set(query.getAll("on"));
  const off = new Set(query.getAll("off"));
  on.delete(run);
  off.delete(run);
  if (shown && position >= SHOWN_AT_FIRST) on.add(run);
  if (!shown && position < SHOWN_AT_FIRST) off.add(run);
  setQuery({ on: [...on], off: [...off], run: null });
}
