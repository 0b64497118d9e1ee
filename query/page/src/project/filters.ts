// Conditions on runs: `f=field ~ op ~ value` in the URL, and a filter of the API. Pure.

export const OPERATORS = {
  "=": "$eq",
  "≠": "$ne",
  "<": "$lt",
  "≤": "$lte",
  ">": "$gt",
  "≥": "$gte",
  contains: "$regex",
  matches: "$regex",
  "one of": "$in",
  exists: "$exists",
} as const;

export type Operator = keyof typeof OPERATORS;

export interface Condition {
  field: string;
  operator: Operator;
  value: string;
}

export function conditionToText({ field, operator, value }: Condition): string {
  return [field, operator, value].map((part) => part.replaceAll("~", "~~")).join(" ~ ");
}

/** Return null if the text is not a condition. */
export function conditionFromText(text: string): Condition | null {
  const [field, operator, value, ...rest] = text.split(" ~ ").map((part) => part.replaceAll("~~", "~"));
  if (!field || value === undefined || rest.length || !Object.hasOwn(OPERATORS, operator!)) return null;
  return { field, operator: operator as Operator, value };
}

/** Return the API's filter as JSON, or "" if there is no condition. */
export function toFilter(conditions: readonly Condition[]): string {
  if (!conditions.length) return "";
  const parts = conditions.map(({ field, operator, value }) => ({
    [field]: { [OPERATORS[operator]]: operand(operator, value) },
  }));
  return JSON.stringify(parts.length === 1 ? parts[0] : { $and: parts });
}

function operand(operator: Operator, text: string): unknown {
  if (operator === "exists") return text !== "no";
  if (operator === "matches") return text;
  if (operator === "contains") return `(?i)${text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}`;
  if (operator === "one of") return text.split(",").map((part) => value(part.trim()));
  return value(text);
}

/** Return a number, a boolean, null, or the text itself. A text in double quotes is always a text. */
function value(text: string): unknown {
  const quoted = /^"(.*)"$/s.exec(text);
  if (quoted) return quoted[1];
  if (text === "true" || text === "false") return text === "true";
  if (text === "null") return null;
  const numeric = text.trim() === "" ? NaN : Number(text);
  return Number.isFinite(numeric) ? numeric : text;
}
