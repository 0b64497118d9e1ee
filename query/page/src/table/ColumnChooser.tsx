// A dialog that selects columns among all fields of the project's runs.
import { useState } from "preact/hooks";
import { matcher } from "../lib/panels";
import { Dialog } from "../ui/Dialog";
import { Icon } from "../ui/Icon";
import { withColumn } from "./runColumns";

const MAX_LISTED = 500;

export function ColumnChooser(props: {
  fields: readonly string[];
  chosen: readonly string[];
  set: (chosen: string[] | null) => void;
  close: () => void;
}) {
  const [search, setSearch] = useState("");
  const found = props.fields.filter(matcher(search));
  const chosen = new Set(props.chosen);
  const toggle = (field: string) =>
    props.set(chosen.has(field) ? props.chosen.filter((item) => item !== field) : withColumn(props.chosen, field));
  return (
    <Dialog
      title="Columns"
      close={props.close}
      actions={
        <button class="link" onClick={() => props.set(null)}>
          Reset
        </button>
      }
    >
      <div class="field">
        <Icon name="search" size={14} />
        <input
          type="search"
          autofocus
          placeholder={`Search ${props.fields.length} columns by regular expression`}
          aria-label="Search columns"
          value={search}
          onInput={(event) => setSearch(event.currentTarget.value)}
        />
      </div>
      {search && (
        <p class="row-links">
          <button class="link" onClick={() => props.set([...new Set([...props.chosen, ...found])])}>
            Add all {found.length}
          </button>
          <button class="link" onClick={() => props.set(props.chosen.filter((item) => !found.includes(item)))}>
            Remove all {found.length}
          </button>
        </p>
      )}
      <ul class="column-list">
        {found.slice(0, MAX_LISTED).map((field) => (
          <li key={field}>
            <label class="clip">
              <input type="checkbox" checked={chosen.has(field)} onChange={() => toggle(field)} />
              <span class="clip">{field}</span>
            </label>
          </li>
        ))}
      </ul>
      {found.length > MAX_LISTED && <p class="quiet">and {found.length - MAX_LISTED} more. Search to find them.</p>}
    </Dialog>
  );
}
