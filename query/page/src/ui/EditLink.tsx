// A link to where something is changed; for who may only read, a button that is off and says why.
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
