// A choice of one of few options.
export function Select<T extends string>(props: {
  label: string;
  value: T;
  options: Record<T, string>;
  set: (value: T) => void;
}) {
  return (
    <select
      class="select"
      aria-label={props.label}
      title={props.label}
      value={props.value}
      onChange={(event) => props.set(event.currentTarget.value as T)}
    >
      {(Object.entries(props.options) as [T, string][]).map(([value, text]) => (
        <option key={value} value={value}>
          {text}
        </option>
      ))}
    </select>
  );
}
