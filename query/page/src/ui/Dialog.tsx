// A modal dialog, made of the browser's <dialog>. It keeps the focus, and closes on Escape and on a click outside of
// it.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Icon } from "./Icon";

export function Dialog(props: {
  title: string;
  close: () => void;
  children: ComponentChildren;
  class?: string;
  actions?: ComponentChildren;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      ref={dialog}
      class={props.class}
      aria-label={props.title}
      onClose={props.close}
      onClick={(event) => event.target === dialog.current && props.close()}
    >
      <div class="dialog-box">
        <header>
          <h2>{props.title}</h2>
          <span class="grow" />
          {props.actions}
          <button class="icon-button" onClick={props.close} aria-label="Close" title="Close (Esc)">
            <Icon name="close" />
          </button>
        </header>
        {props.children}
      </div>
    </dialog>
  );
}
