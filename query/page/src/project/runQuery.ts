// Which runs a project's views speak of, and in which order: the same in the table and beside the charts.
import type { ListRunsRequest } from "../api/contract";
import { type Condition, conditionFromText, toFilter } from "./filters";

export interface RunQuery {
  search: string;
  conditions: Condition[];
  filter: string;
  order: string;
  /** The field whose values make groups; empty: none. */
  by: string;
}

export function readRunQuery(query: URLSearchParams): RunQuery {
  const conditions = query
    .getAll("f")
    .map(conditionFromText)
    .filter((item) => item !== null);
  return {
    search: query.get("find") ?? "",
    conditions,
    filter: toFilter(conditions),
    order: query.get("sort") ?? "",
    by: query.get("group") ?? "",
  };
}

export function toRequest(question: RunQuery): Partial<ListRunsRequest> {
  return { search: question.search, filter: question.filter, order: question.order ? [question.order] : [] };
}
