// The text of a saved view: the URL's query without the view's own id. Pure.
import { queryToText } from "../lib/urlQuery";

/** Parameters that are not part of a view: its id, and a panel on the full screen. */
const UNSAVED_PARAMETERS = ["view", "full"];
export const MAX_CHARACTERS = 16_384;

export function viewContent(query: URLSearchParams): string {
  const kept = new URLSearchParams();
  for (const [name, value] of query) if (!UNSAVED_PARAMETERS.includes(name)) kept.append(name, value);
  return queryToText(kept).slice(1);
}

/** Return the query that shows a saved view and has its id. */
export function viewToQuery(content: string, id: string): string {
  const query = new URLSearchParams(content);
  for (const name of UNSAVED_PARAMETERS) query.delete(name);
  query.append("view", id);
  return queryToText(query);
}

/**
 * Return whether two views are the same. The order of names does not matter, the order of the values of one name does.
 */
export function isSameView(item: string, other: string): boolean {
  return normalized(item) === normalized(other);
}

function normalized(content: string): string {
  const query = new URLSearchParams(content);
  query.sort(); // the order of equal names is kept
  return query.toString();
}
