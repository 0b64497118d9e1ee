// A config or summary value. A long value is cut, and a button shows all of it.
import { useState } from "preact/hooks";
import type { JsonValue } from "../api/contract";
import { formatValue } from "../lib/format";

const LONG = 300;

export function LongValue({ value }: { value: JsonValue | undefined }) {
  const [open, setOpen] = useState(false);
  const text = formatValue(value);
  if (text.length <= LONG) return <>{text}</>;
  return (
    <>
      {open ? text : `${text.slice(0, LONG)}… `}
      <button class="link" onClick={() => setOpen(!open)}>
        {open ? " less" : "more"}
      </button>
    </>
  );
}
