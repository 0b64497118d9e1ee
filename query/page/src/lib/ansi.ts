// Console lines with terminal colours as pieces of text with a class. Pure; what is no colour is left out.

export interface AnsiPiece {
  text: string;
  /** Class names: a foreground colour "c1" to "c15", "bold", "dim"; empty: plain. */
  look: string;
}

// eslint-disable-next-line no-control-regex
const ESCAPE = /\x1b(?:\[([0-9;:?]*)([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])/g;
// eslint-disable-next-line no-control-regex
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f]/g;

export function parseAnsi(line: string): AnsiPiece[] {
  if (!line.includes("\x1b")) return line ? [{ text: line.replace(CONTROL, ""), look: "" }] : [];
  const pieces: AnsiPiece[] = [];
  let color = -1;
  let bold = false;
  let dim = false;
  let offset = 0;
  const push = (text: string) => {
    const clean = text.replace(CONTROL, "");
    if (clean)
      pieces.push({
        text: clean,
        look: [color >= 0 ? `c${color}` : "", bold ? "bold" : "", dim ? "dim" : ""].filter(Boolean).join(" "),
      });
  };
  for (const match of line.matchAll(ESCAPE)) {
    push(line.slice(offset, match.index));
    offset = match.index + match[0].length;
    if (match[2] !== "m") continue;
    const codes = (match[1] || "0").split(/[;:]/).map(Number);
    for (let i = 0; i < codes.length; i++) {
      const code = codes[i]!;
      if (code === 0) [color, bold, dim] = [-1, false, false];
      else if (code === 1) bold = true;
      else if (code === 2) dim = true;
      else if (code === 22) [bold, dim] = [false, false];
      else if (code >= 30 && code <= 37) color = code - 30;
      else if (code >= 90 && code <= 97) color = code - 82;
      else if (code === 39) color = -1;
      else if (code === 38 || code === 48) {
        if (code === 38 && codes[i + 1] === 5 && codes[i + 2]! < 16) color = codes[i + 2]!;
        i += codes[i + 1] === 5 ? 2 : 4;
      }
    }
  }
  push(line.slice(offset));
  return pieces;
}
