// A view as a text: what the URL's query says, without the name of the view it came from. Pure.
import { toText } from "../lib/urlQuery";

/** Of the view that is open, and what is opened for a moment: they are no part of how things look. */
const NOT_KEPT = ["view", "full"];
export const MOST_CHARACTERS = 16_384;

export function contentOf(query: URLSearchParams): string {
  const kept = new URLSearchParams();
  for (const [name, value] of query) if (!NOT_KEPT.includes(name)) kept.append(name, value);
  return toText(kept).slice(1);
}

/** The query that shows a saved view and knows its name. */
export function queryOf(content: string, id: string): string {
  const query = new URLSearchParams(content);
  for (const name of NOT_KEPT) query.delete(name);
  query.append("view", id);
  return toText(query);
}

/** Whether two views look the same: the order of names means nothing, that of one name's values does. */
export function sameView(one: string, other: string): boolean {
  return ordered(one) === ordered(other);
}

function ordered(content: string): string {
  const query = new URLSearchParams(content);
  query.sort(); // keeps the order of equal names
  return query.toString();
}
