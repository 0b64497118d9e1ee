// Entities and links of Markdown. Pure.

const NAMED_ENTITIES: Record<string, string> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
  nbsp: "\u00a0",
  hellip: "…",
  mdash: "—",
  ndash: "–",
  times: "×",
  plusmn: "±",
  deg: "°",
  micro: "µ",
  rarr: "→",
  larr: "←",
  le: "≤",
  ge: "≥",
};

/** Replace `&lt;` and `&#60;` by the characters that they stand for. Unknown entities stay as they are. */
export function decodeEntities(text: string): string {
  return text.replace(
    /&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|([a-zA-Z]{2,8}));/g,
    (whole, decimal?: string, hex?: string, name?: string) => {
      if (name) return Object.hasOwn(NAMED_ENTITIES, name) ? NAMED_ENTITIES[name]! : whole;
      const code = decimal ? Number(decimal) : parseInt(hex!, 16);
      return code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff) ? String.fromCodePoint(code) : whole;
    },
  );
}

const SCHEMES = new Set(["http:", "https:", "mailto:"]);

/** Return the link if it leads to a page or a mailbox, else null. */
export function safeHref(href: string, base: string): string | null {
  try {
    const url = new URL(href, base);
    return SCHEMES.has(url.protocol) ? href : null;
  } catch {
    return null;
  }
}

/** Return whether an image comes from this server. The page's policy allows no other images. */
export function isOwnImage(href: string, base: string): string | null {
  try {
    const url = new URL(href, base);
    return url.origin === new URL(base).origin && url.pathname.startsWith("/api/v1/media/") ? href : null;
  } catch {
    return null;
  }
}
