// A view as a text: what the URL's query says, without the name of the view it came from. Pure.
import { queryToText } from "../lib/urlQuery";

/** Of the view that is open, and what is opened for a moment: they are no part of how things look. */
const UNSAVED_PARAMETERS = ["view", "full"];
export const MAX_CHARACTERS = 16_384;

export function viewContent(query: URLSearchParams): string {
  const kept = new URLSearchParams();
  for (const [name, value] of query) if (!UNSAVED_PARAMETERS.includes(name)) kept.append(name, value);
  return queryToText(kept).slice(1);
}

/** The query that shows a saved view and knows its name. */
export function viewToQuery(content: string, id: string): string {
  const query = new URLSearchParams(content);
  for (const name of UNSAVED_PARAMETERS) query.delete(name);
  query.append("view", id);
  return queryToText(query);
}

/** Whether two views look the same: the order of names means nothing, that of one name's values does. */
export function isSameView(item: string, other: string): boolean {
  return normalized(item) === normalized(other);
}

function normalized(content: string): string {
  const query = new URLSearchParams(content);
  query.sort(); // keeps the order of equal names
  return query.toString();
}
