// Parameters as YAML that `runstream.init(config="best.yaml")` and PyYAML read back as the same values. Pure.

/** A number as it stands in the JSON: 1 and 1.0 stay different, and no digit is lost. */
class ExactNumber {
  constructor(readonly text: string) {}
}

/**
 * Convert JSON to YAML. Return the JSON itself, which is valid YAML, if the browser does not give the source of
 * numbers.
 */
export function toYaml(json: string): string {
  const value: unknown = JSON.parse(json, reviver as (this: unknown, key: string, value: unknown) => unknown);
  if (!value || typeof value !== "object" || !Object.keys(value).length) return `${json}\n`;
  return `${lines(value, "").join("\n")}\n`;
}

function reviver(_key: string, value: unknown, context?: { source?: string }): unknown {
  return typeof value === "number" && context?.source !== undefined ? new ExactNumber(context.source) : value;
}

function lines(value: object, indent: string): string[] {
  if (Array.isArray(value)) {
    return value.flatMap((item: unknown) => {
      const nested = isNested(item) ? lines(item, `${indent}  `) : null;
      return nested ? [`${indent}- ${nested[0]!.trimStart()}`, ...nested.slice(1)] : [`${indent}- ${scalar(item)}`];
    });
  }
  return Object.entries(value).flatMap(([key, item]: [string, unknown]) =>
    isNested(item)
      ? [`${indent}${text(key)}:`, ...lines(item, `${indent}  `)]
      : [`${indent}${text(key)}: ${scalar(item)}`],
  );
}

function isNested(value: unknown): value is object {
  return (
    typeof value === "object" && value !== null && !(value instanceof ExactNumber) && Object.keys(value).length > 0
  );
}

function scalar(value: unknown): string {
  if (value instanceof ExactNumber) return float(value.text);
  if (typeof value === "string") return text(value);
  if (typeof value === "number") return float(JSON.stringify(value));
  return JSON.stringify(value);
}

/** Write an exponent as YAML 1.1 expects it, with a point and a sign: YAML reads 1e-05 as a text. */
function float(json: string): string {
  const match = /^(-?\d+)(\.\d+)?[eE]([+-]?)(\d+)$/.exec(json);
  return match ? `${match[1]}${match[2] ?? ".0"}e${match[3] || "+"}${match[4]}` : json;
}

/** Write a text without quotes if it can mean nothing else, else in double quotes. */
function text(value: string): string {
  const plain =
    /^[A-Za-z][A-Za-z0-9_./-]*$/.test(value) && !/^(y|n|yes|no|on|off|true|false|null|nan|inf)$/i.test(value);
  return plain
    ? value
    : JSON.stringify(value).replace(
        /[\u007f-\u009f\u2028\u2029\ufeff]/g,
        (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
      );
}
