// A dialog with the ranges of all axes as input fields, for keyboards and for exact numbers.
import { useState } from "preact/hooks";
import { Dialog } from "../ui/Dialog";
import { type Brushes, type RangeTexts, rangeToText, textToRange } from "./brushes";
import type { PlotColumn } from "./plotColumns";

export function RangeDialog(props: {
  axes: readonly PlotColumn[];
  brushes: Brushes;
  set: (brushes: Brushes) => void;
  close: () => void;
}) {
  const { axes, brushes } = props;
  const [texts, setTexts] = useState<readonly RangeTexts[]>(() =>
    axes.map((axis) => rangeToText(axis, brushes.get(axis.field))),
  );
  const ranges = axes.map((axis, index) => textToRange(axis, texts[index]!));
  const setEnd = (index: number, end: 0 | 1, text: string) =>
    setTexts(texts.map((item, place) => (place !== index ? item : end ? [item[0], text] : [text, item[1]])));
  const submit = (event: Event) => {
    event.preventDefault();
    const next = new Map(brushes);
    axes.forEach(({ field }, index) => {
      const range = ranges[index];
      if (range && range !== "reversed") next.set(field, range);
      else next.delete(field);
    });
    props.set(next);
    props.close();
  };
  return (
    <Dialog title="Ranges" close={props.close}>
      <form class="stack" onSubmit={submit}>
        <p class="quiet">Leave a field empty to set no limit.</p>
        <div class="ranges">
          {axes.map((axis, index) => (
            <fieldset key={axis.field}>
              <legend class="clip" title={axis.title}>
                {axis.title}
              </legend>
              <RangeEnd axis={axis} name="from" text={texts[index]![0]} set={(text) => setEnd(index, 0, text)} />
              <span class="quiet" aria-hidden="true">
                to
              </span>
              <RangeEnd axis={axis} name="to" text={texts[index]![1]} set={(text) => setEnd(index, 1, text)} />
              {ranges[index] === "reversed" && (
                <span role="alert">The lower limit is greater than the upper limit</span>
              )}
            </fieldset>
          ))}
        </div>
        <p class="row">
          <button class="button primary" disabled={ranges.includes("reversed")}>
            Apply
          </button>
          <button type="button" class="button plain" onClick={() => setTexts(axes.map(() => ["", ""]))}>
            Clear all
          </button>
        </p>
      </form>
    </Dialog>
  );
}

function RangeEnd({
  axis,
  name,
  text,
  set,
}: {
  axis: PlotColumn;
  name: string;
  text: string;
  set: (text: string) => void;
}) {
  const label = `${axis.title}: ${name}`;
  if (axis.kind === "category") {
    return (
      <select class="select" aria-label={label} value={text} onChange={(event) => set(event.currentTarget.value)}>
        <option value="">–</option>
        {axis.categories.map((category, index) => (
          <option key={index} value={String(index)}>
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
