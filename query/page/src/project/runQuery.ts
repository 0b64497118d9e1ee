// Which runs a project's views speak of, and in which order: the same in the table and beside the charts.
import type { ListRunsRequest } from "../api/contract";
import { type Condition, filterOf, fromText } from "./filters";

export interface RunQuestion {
  search: string;
  conditions: Condition[];
  filter: string;
  order: string;
  /** The field whose values make groups; empty: none. */
  by: string;
}

export function questionOf(query: URLSearchParams): RunQuestion {
  const conditions = query
    .getAll("f")
    .map(fromText)
    .filter((one) => one !== null);
  return {
    search: query.get("find") ?? "",
    conditions,
    filter: filterOf(conditions),
    order: query.get("sort") ?? "",
    by: query.get("group") ?? "",
  };
}

export function requestOf(question: RunQuestion): Partial<ListRunsRequest> {
  return { search: question.search, filter: question.filter, order: question.order ? [question.order] : [] };
}
