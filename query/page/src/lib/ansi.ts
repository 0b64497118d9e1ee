// Lines with terminal colours, as pieces of text with CSS classes. All other escape sequences are removed. Pure.

export interface AnsiPiece {
  text: string;
  /** CSS classes: a foreground colour "c0" to "c15", "bold", "dim"; "" for plain text. */
  classes: string;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: terminals are controlled by them
const ESCAPE = /\x1b(?:\[([0-9;:?]*)([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: terminals are controlled by them
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f]/g;

interface Style {
  /** -1 for the default colour. */
  color: number;
  bold: boolean;
  dim: boolean;
}

export function parseAnsi(line: string): AnsiPiece[] {
  if (!line.includes("\x1b")) return line ? [{ text: line.replace(CONTROL, ""), classes: "" }] : [];
  const pieces: AnsiPiece[] = [];
  const style: Style = { color: -1, bold: false, dim: false };
  let offset = 0;
  const push = (text: string) => {
    const clean = text.replace(CONTROL, "");
    if (clean) pieces.push({ text: clean, classes: classesOf(style) });
  };
  for (const match of line.matchAll(ESCAPE)) {
    push(line.slice(offset, match.index));
    offset = match.index + match[0].length;
    if (match[2] === "m") applyCodes(style, (match[1] || "0").split(/[;:]/).map(Number));
  }
  push(line.slice(offset));
  return pieces;
}

function classesOf({ color, bold, dim }: Style): string {
  return [color >= 0 ? `c${color}` : "", bold ? "bold" : "", dim ? "dim" : ""].filter(Boolean).join(" ");
}

/** Apply the codes of one "select graphic rendition" sequence. */
function applyCodes(style: Style, codes: readonly number[]): void {
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i]!;
    if (code === 0) Object.assign(style, { color: -1, bold: false, dim: false });
    else if (code === 1) style.bold = true;
    else if (code === 2) style.dim = true;
    else if (code === 22) Object.assign(style, { bold: false, dim: false });
    else if (code >= 30 && code <= 37) style.color = code - 30;
    else if (code >= 90 && code <= 97) style.color = code - 82;
    else if (code === 39) style.color = -1;
    else if (code === 38 || code === 48) {
      if (code === 38 && codes[i + 1] === 5 && codes[i + 2]! < 16) style.color = codes[i + 2]!;
      i += codes[i + 1] === 5 ? 2 : 4;
    }
  }
}
