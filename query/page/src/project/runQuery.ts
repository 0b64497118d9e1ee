// Which runs a view lists, and in which order. The table and the charts share it.
import type { ListRunsRequest } from "../api/contract";
import { type Condition, conditionFromText, toFilter } from "./filters";

export interface RunQuery {
  search: string;
  conditions: Condition[];
  filter: string;
  order: string;
  /** The field by which runs are grouped; "" if they are not. */
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
