// A button that opens a list of actions. The list closes after a choice, on Escape, and on a click outside of it.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

export function Menu(props: {
  label: string;
  button: ComponentChildren;
  children: ComponentChildren;
  class?: string;
  keepOpen?: boolean;
}) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return;
    const closeOutside = (event: Event) => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    const closeOnEscape = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      setOpen(false);
      root.current?.querySelector("button")?.focus();
      event.stopPropagation();
    };
    document.addEventListener("pointerdown", closeOutside);
    document.addEventListener("keydown", closeOnEscape, true);
    return () => {
      document.removeEventListener("pointerdown", closeOutside);
      document.removeEventListener("keydown", closeOnEscape, true);
    };
  }, [open]);
  return (
    <div class={`menu ${props.class ?? ""}`} ref={root}>
      <button
        class="icon-button"
        aria-label={props.label}
        title={props.label}
        aria-expanded={open}
        aria-haspopup="true"
        onClick={() => setOpen(!open)}
      >
        {props.button}
      </button>
      {open && (
        <div class="menu-list" onClick={() => !props.keepOpen && setOpen(false)}>
          {props.children}
        </div>
      )}
    </div>
  );
}

export function MenuItem(props: {
  onSelect: () => void;
  children: ComponentChildren;
  checked?: boolean;
  danger?: boolean;
  disabled?: boolean;
  title?: string;
}) {
  return (
    <button
      class={`menu-item ${props.danger ? "danger" : ""}`}
      onClick={props.onSelect}
      aria-pressed={props.checked}
      disabled={props.disabled}
      title={props.title}
    >
      <span class="tick">{props.checked ? "✓" : ""}</span>
      {props.children}
    </button>
  );
}
