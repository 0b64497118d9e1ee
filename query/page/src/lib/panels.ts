// Sections of metrics by their prefix, and names in natural order. Pure.

export interface Section {
  name: string;
  metrics: string[];
}

export const PINNED = "Pinned";
export const UNPREFIXED = "Charts";
const SYSTEM = "system";

/**
 * Group metrics into sections. `search` is a regular expression without regard to case, or plain text if it is not
 * valid. Pinned metrics come first, then metrics without a prefix, then prefixes by name, and system metrics last.
 * `system/node3/gpu.0.x` belongs to `system/node3`.
 */
export function groupIntoSections(metrics: Iterable<string>, pinned: readonly string[] = [], search = ""): Section[] {
  const matches = matcher(search);
  const sections = new Map<string, string[]>();
  const known = new Set(metrics);
  const add = (section: string, metric: string) => {
    const list = sections.get(section);
    if (list) list.push(metric);
    else sections.set(section, [metric]);
  };
  for (const metric of pinned) if (known.has(metric) && matches(metric)) add(PINNED, metric);
  const pinnedSet = new Set(pinned);
  for (const metric of [...known].sort(compareNaturally)) {
    if (!pinnedSet.has(metric) && matches(metric)) add(prefixOf(metric), metric);
  }
  return [...sections]
    .map(([name, list]) => ({ name, metrics: list }))
    .sort((a, b) => sectionOrder(a.name) - sectionOrder(b.name) || compareNaturally(a.name, b.name));
}

export function prefixOf(metric: string): string {
  const parts = metric.split("/");
  if (parts.length === 1) return UNPREFIXED;
  return parts[0] === SYSTEM && parts.length > 2 ? `${parts[0]}/${parts[1]}` : parts[0]!;
}

export function isSystem(name: string): boolean {
  return name === SYSTEM || name.startsWith(`${SYSTEM}/`);
}

export function matcher(search: string): (name: string) => boolean {
  if (!search) return () => true;
  try {
    const pattern = new RegExp(search, "i");
    return (name) => pattern.test(name);
  } catch {
    const text = search.toLowerCase();
    return (name) => name.toLowerCase().includes(text);
  }
}

const COLLATOR = new Intl.Collator("en", { numeric: true });

export function compareNaturally(a: string, b: string): number {
  return COLLATOR.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0);
}

function sectionOrder(section: string): number {
  if (section === PINNED) return 0;
  if (section === UNPREFIXED) return 1;
  return isSystem(section) ? 3 : 2;
}
