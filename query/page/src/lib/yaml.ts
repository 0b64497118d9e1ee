// Parameters as YAML: what `runstream.init(config="best.yaml")` and PyYAML read back as the same values. Pure.

/** A number as the JSON had it: 1 and 1.0 stay different, and no digit is lost. */
class ExactNumber {
  constructor(readonly text: string) {}
}

/** YAML of a JSON object; the JSON itself (which is YAML, too) where this browser does not tell how numbers were written. */
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

/** YAML 1.1 wants a point before an exponent and a sign in it: 1e-05 would be a text there. */
function float(json: string): string {
  const match = /^(-?\d+)(\.\d+)?[eE]([+-]?)(\d+)$/.exec(json);
  return match ? `${match[1]}${match[2] ?? ".0"}e${match[3] || "+"}${match[4]}` : json;
}

/** Plain where nothing else can be meant; else in double quotes, as JSON writes it. */
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
