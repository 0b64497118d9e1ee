/** An input for one of the given names, with suggestions. Other texts are ignored. */
export function NameInput(props: {
  label: string;
  value: string;
  names: readonly string[];
  set: (name: string) => void;
}) {
  const id = props.label.replaceAll(" ", "-");
  return (
    <>
      <input
        class="text-input name-input"
        aria-label={props.label}
        list={id}
        value={props.value}
        onChange={(event) => props.names.includes(event.currentTarget.value) && props.set(event.currentTarget.value)}
      />
      <datalist id={id}>
        {props.names.slice(0, 1000).map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
    </>
  );
}
