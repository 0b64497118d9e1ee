// View state in the URL's query. Pure.

export type Changes = Record<string, string | number | boolean | readonly string[] | null | undefined>;

/**
 * Return the query with some values changed. Null, "", false and empty lists remove a name. Other names keep their
 * order.
 */
export function withChanges(query: URLSearchParams, changes: Changes): URLSearchParams {
  const next = new URLSearchParams(query);
  for (const [name, value] of Object.entries(changes)) {
    next.delete(name);
    if (value === null || value === undefined || value === "" || value === false) continue;
    if (Array.isArray(value)) for (const item of value as readonly string[]) next.append(name, item);
    else next.set(name, value === true ? "1" : String(value));
  }
  return next;
}

/** Write a query. Slashes, colons and commas stay readable: they need no escape in a query. */
export function queryToText(query: URLSearchParams): string {
  const text = query.toString().replaceAll("%2F", "/").replaceAll("%3A", ":").replaceAll("%2C", ",");
  return text ? `?${text}` : "";
}

/** Parse `low:high`. Return null if it is not a range. */
export function readRange(text: string | null): [number, number] | null {
  const [low, high, ...rest] = (text ?? "").split(":");
  if (!low || !high || rest.length) return null;
  const range: [number, number] = [Number(low), Number(high)];
  return Number.isFinite(range[0]) && Number.isFinite(range[1]) && range[0] < range[1] ? range : null;
}

/** Return the number, limited to a range, or the fallback if the text is not a number. */
export function readNumber(text: string | null, fallback: number, low: number, high: number): number {
  const value = text === null || text === "" ? NaN : Number(text);
  return Number.isFinite(value) ? Math.min(Math.max(value, low), high) : fallback;
}

export function readChoice<T extends string>(text: string | null, choices: readonly T[]): T {
  return choices.includes(text as T) ? (text as T) : choices[0]!;
}
