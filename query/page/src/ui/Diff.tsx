// A unified diff, its lines in colours.
import { Copy } from "./CopyButton";

const KINDS: Record<string, string> = { "+": "added", "-": "removed", "@": "place" };

export function Diff({ text, label }: { text: string; label: string }) {
  return (
    <div class="code diff">
      <pre tabIndex={0} aria-label={label}>
        {text.split("\n").map((line, at) => (
          <span key={at} class={/^(\+\+\+ |--- |diff |index )/.test(line) ? "place" : (KINDS[line[0] ?? ""] ?? "")}>
            {line}
            {"\n"}
          </span>
        ))}
      </pre>
      <Copy text={text} label={`Copy ${label}`} />
    </div>
  );
}
