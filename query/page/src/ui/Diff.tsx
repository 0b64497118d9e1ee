// A unified diff with coloured lines.
import { CopyButton } from "./CopyButton";

const KINDS: Record<string, string> = { "+": "added", "-": "removed", "@": "place" };

export function Diff({ text, label }: { text: string; label: string }) {
  return (
    <div class="code diff">
      <pre tabIndex={0} aria-label={label}>
        {text.split("\n").map((line, index) => (
          <span key={index} class={/^(\+\+\+ |--- |diff |index )/.test(line) ? "place" : (KINDS[line[0] ?? ""] ?? "")}>
            {line}
            {"\n"}
          </span>
        ))}
      </pre>
      <CopyButton text={text} label={`Copy ${label}`} />
    </div>
  );
}
