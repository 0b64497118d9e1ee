// A link to a page that edits something. Users who may only read see a disabled button that says why.
import type { ComponentChildren } from "preact";
import { editProps } from "../state/permissions";

export function EditLink(props: { team: string; href: string; class: string; children: ComponentChildren }) {
  const off = editProps(props.team);
  return off.disabled ? (
    <button class={props.class} {...off}>
      {props.children}
    </button>
  ) : (
    <a class={props.class} href={props.href}>
      {props.children}
    </a>
  );
}
