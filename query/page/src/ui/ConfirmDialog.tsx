// A dialog that asks before an action that cannot be undone.
import type { ComponentChildren } from "preact";
import { Dialog } from "./Dialog";

export function ConfirmDialog(props: {
  title: string;
  confirm: string;
  close: () => void;
  onConfirm: () => void;
  children: ComponentChildren;
}) {
  return (
    <Dialog title={props.title} close={props.close}>
      <p>{props.children}</p>
      <p class="dialog-actions">
        <button class="button" onClick={props.close}>
          Keep it
        </button>
        <button class="button danger" onClick={props.onConfirm}>
          {props.confirm}
        </button>
      </p>
    </Dialog>
  );
}
