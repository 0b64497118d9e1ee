// The ranges on the axes as fields, for who has no pointer, or knows the numbers.
import { useState } from "preact/hooks";
import { Dialog } from "../ui/Dialog";
import { type Brushes, type Ends, endsOf, rangeOf } from "./brushes";
import type { Column } from "./plotColumns";

export function RangeDialog(props: {
  axes: readonly Column[];
  brushes: Brushes;
  set: (brushes: Brushes) => void;
  close: () => void;
}) {
  const { axes, brushes } = props;
  const [texts, setTexts] = useState<readonly Ends[]>(() => axes.map((axis) => endsOf(axis, brushes.get(axis.field))));
  const found = axes.map((axis, at) => rangeOf(axis, texts[at]!));
  const write = (at: number, end: 0 | 1, text: string) =>
    setTexts(texts.map((one, place) => (place !== at ? one : end ? [one[0], text] : [text, one[1]])));
  const submit = (event: Event) => {
    event.preventDefault();
    const next = new Map(brushes);
    axes.forEach(({ field }, at) => {
      const range = found[at];
      if (range && range !== "reversed") next.set(field, range);
      else next.delete(field);
    });
    props.set(next);
    props.close();
  };
  return (
    <Dialog title="Ranges" close={props.close}>
      <form class="stack" onSubmit={submit}>
        <p class="quiet">An empty field is no bound.</p>
        <div class="ranges">
          {axes.map((axis, at) => (
            <fieldset key={axis.field}>
              <legend class="clip" title={axis.title}>
                {axis.title}
              </legend>
              <End axis={axis} name="from" text={texts[at]![0]} set={(text) => write(at, 0, text)} />
              <span class="quiet" aria-hidden="true">
                to
              </span>
              <End axis={axis} name="to" text={texts[at]![1]} set={(text) => write(at, 1, text)} />
              {found[at] === "reversed" && <span role="alert">from is greater than to</span>}
            </fieldset>
          ))}
        </div>
        <p class="row">
          <button class="button primary" disabled={found.includes("reversed")}>
            Show these
          </button>
          <button type="button" class="button plain" onClick={() => setTexts(axes.map(() => ["", ""]))}>
            Clear all
          </button>
        </p>
      </form>
    </Dialog>
  );
}

function End({ axis, name, text, set }: { axis: Column; name: string; text: string; set: (text: string) => void }) {
  const label = `${axis.title}: ${name}`;
  if (axis.kind === "category") {
    return (
      <select class="select" aria-label={label} value={text} onChange={(event) => set(event.currentTarget.value)}>
        <option value="">–</option>
        {axis.categories.map((category, at) => (
          <option key={at} value={String(at)}>
            {category}
          </option>
        ))}
      </select>
    );
  }
  const kind =
    axis.kind === "time" ? ({ type: "datetime-local", step: 1 } as const) : ({ type: "number", step: "any" } as const);
  return (
    <input
      class="text-input"
      {...kind}
      aria-label={label}
      value={text}
      onInput={(event) => set(event.currentTarget.value)}
    />
  );
}
