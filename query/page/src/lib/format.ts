// Numbers, times and names as people read them. Pure.
import type { Double, JsonValue } from "../api/contract";

/** Convert a double of the API's JSON to a number. */
export function toNumber(value: Double | undefined): number {
  return typeof value === "number" ? value : Number(value ?? NaN);
}

/** Format with at most `digits` significant digits and no trailing zeros: 0.03125, 1.2e-7, 48,210. */
export function formatNumber(value: number, digits = 5): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e9)) return trimExponent(value.toExponential(digits - 2));
  if (Number.isInteger(value)) return minus(grouped(String(value)));
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  const [whole = "", part = ""] = value.toFixed(Math.min(decimals, 12)).split(".");
  const rest = part.replace(/0+$/, "");
  return minus(grouped(whole) + (rest ? `.${rest}` : ""));
}

/** Format a tick of an axis: 1.5k, 20M, 3e-5. */
export function formatTick(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return "0";
  for (const [unit, name] of [
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ] as const) {
    if (size >= unit * (unit === 1e3 ? 10 : 1) && size < 1e15) return minus(`${trim(value / unit, 4)}${name}`);
  }
  if (size < 1e-3 || size >= 1e15) return trimExponent(value.toExponential(2));
  return minus(trim(value, 6));
}

/** Format a duration: 12 ms, 4.2 s, 3 m 20 s, 2 h 5 m, 4 d 3 h. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 0) return `−${formatDuration(-seconds)}`;
  if (seconds > 0 && seconds < 1e-3) return `${trim(seconds * 1e6, 2)} µs`;
  if (seconds > 0 && seconds < 1) return `${trim(seconds * 1e3, 2)} ms`;
  if (seconds < 10) return `${trim(seconds, 2)} s`;
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return twoUnits(Math.floor(s / 60), "m", s % 60, "s");
  if (s < 86_400) return twoUnits(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "m");
  return twoUnits(Math.floor(s / 86_400), "d", Math.floor((s % 86_400) / 3600), "h");
}

/** Format a time relative to now: 12 s ago, 3 m ago; older times as a date. */
export function formatAgo(iso: string | undefined, now: number = Date.now()): string {
  if (!iso) return "–";
  const seconds = (now - Date.parse(iso)) / 1000;
  if (seconds < 5) return "now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  if (seconds < 86_400 * 30) return `${Math.floor(seconds / 86_400)} d ago`;
  return formatDay(iso);
}

export function formatDay(iso: string): string {
  return new Date(iso).toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric" });
}

export function formatTime(iso: string | undefined): string {
  if (!iso) return "–";
  return new Date(iso).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unitIndex = 0;
  let value = bytes;
  for (; value >= 1024 && unitIndex < units.length - 1; unitIndex++) value /= 1024;
  return `${trim(value, 3)} ${units[unitIndex]}`;
}

/** Format a config or summary value for a cell. */
export function formatValue(value: JsonValue | undefined): string {
  if (value === undefined || value === null) return "–";
  if (typeof value === "number") return formatNumber(value);
  if (typeof value === "string") return value;
  return JSON.stringify(value);
}

/** Format an amount: "1 run", "3 runs". */
export function count(amount: number, singular: string, plural = `${singular}s`): string {
  return `${amount.toLocaleString("en-US")} ${amount === 1 ? singular : plural}`;
}

function twoUnits(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small ? `${large} ${largeUnit} ${small} ${smallUnit}` : `${large} ${largeUnit}`;
}

/**
 * Put commas between thousands. `toLocaleString` takes ten times as long, and a tooltip formats dozens of numbers a
 * frame.
 */
function grouped(whole: string): string {
  return whole.length < 4 ? whole : whole.replace(/\B(?=(\d{3})+$)/g, ",");
}

function trim(value: number, digits: number): string {
  return String(Number(value.toPrecision(digits)));
}

function trimExponent(text: string): string {
  return minus(text.replace(/\.?0+e/, "e").replace("e+", "e"));
}

function minus(text: string): string {
  return text.replace("-", "−").replace("e−", "e-").replace("e-", "e−");
}

/** Format how many of a run's ranks have reported. Return "" for a run of one rank. */
export function ranksSeen(worldSize: number, streams: readonly { rank: number }[]): string {
  if (worldSize <= 1) return "";
  const seen = new Set(streams.map((stream) => stream.rank)).size;
  return seen > 0 && seen < worldSize ? `${seen} of ${count(worldSize, "rank")}` : count(worldSize, "rank");
}
