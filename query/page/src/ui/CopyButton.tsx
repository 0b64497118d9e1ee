import { useState } from "preact/hooks";
import { Icon } from "./Icon";

export function CopyButton({ text, label }: { text: string; label: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return (
    <button class="icon-button copy" onClick={() => void copy()} aria-label={label} title={done ? "Copied" : label}>
      <Icon name={done ? "check" : "copy"} />
    </button>
  );
}
