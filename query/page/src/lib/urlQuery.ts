// View state in the URL's query. Pure.

export type Changes = Record<string, string | number | boolean | readonly string[] | null | undefined>;

/** The query with some values changed; null, "", false and empty lists leave the URL. Other values stay, in order. */
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

/** Readable: slashes, colons and commas stay as they are; they need no escape in a query. */
export function queryToText(query: URLSearchParams): string {
  const text = query.toString().replaceAll("%2F", "/").replaceAll("%3A", ":").replaceAll("%2C", ",");
  return text ? `?${text}` : "";
}

/** `low:high`, each possibly empty; null where it is no range. */
export function readRange(text: string | null): [number, number] | null {
  const [low, high, ...rest] = (text ?? "").split(":");
  if (!low || !high || rest.length) return null;
  const range: [number, number] = [Number(low), Number(high)];
  return Number.isFinite(range[0]) && Number.isFinite(range[1]) && range[0] < range[1] ? range : null;
}

/** A value within its limits, or the default. */
export function readNumber(text: string | null, fallback: number, low: number, high: number): number {
  const value = text === null || text === "" ? NaN : Number(text);
  return Number.isFinite(value) ? Math.min(Math.max(value, low), high) : fallback;
}

export function readChoice<T extends string>(text: string | null, choices: readonly T[]): T {
  return choices.includes(text as T) ? (text as T) : choices[0]!;
}
