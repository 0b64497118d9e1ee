// A titled box of a page, with room for tools beside the title.
import type { ComponentChildren } from "preact";

export function Card({
  title,
  children,
  wide,
  tools,
}: {
  title: string;
  children: ComponentChildren;
  wide?: boolean;
  tools?: ComponentChildren;
}) {
  return (
    <section class={wide ? "info wide" : "info"} aria-label={title}>
      <header>
        <h2>{title}</h2>
        <span class="grow" />
        {tools}
      </header>
      {children}
    </section>
  );
}
