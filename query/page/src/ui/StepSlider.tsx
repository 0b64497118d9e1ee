// A slider over the steps at which something was logged. Its right end stands for the newest step.
export function StepSlider({
  steps,
  value,
  set,
}: {
  steps: readonly number[];
  value: number | null;
  set: (step: number | null) => void;
}) {
  if (steps.length < 2) return steps.length ? <span class="quiet numeric">step {steps[0]}</span> : null;
  const index =
    value === null
      ? steps.length - 1
      : Math.max(
          steps.findLastIndex((step) => step <= value),
          0,
        );
  return (
    <label class="slider steps">
      <span>Step</span>
      <input
        type="range"
        min={0}
        max={steps.length - 1}
        value={index}
        aria-valuetext={`step ${steps[index]}`}
        onInput={(event) => {
          const next = Number(event.currentTarget.value);
          set(next === steps.length - 1 ? null : steps[next]!);
        }}
      />
      <output class="numeric">{steps[index]}</output>
    </label>
  );
}
