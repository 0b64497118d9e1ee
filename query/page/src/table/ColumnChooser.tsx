// Which columns: all that the project's runs have, searched.
import { useState } from "preact/hooks";
import { matcher } from "../lib/panels";
import { Dialog } from "../ui/Dialog";
import { Icon } from "../ui/Icon";
import { withColumn } from "./runColumns";

const LISTED = 500;

export function ColumnChooser(props: {
  fields: readonly string[];
  chosen: readonly string[];
  set: (chosen: string[] | null) => void;
  close: () => void;
}) {
  const [search, setSearch] = useState("");
  const found = props.fields.filter(matcher(search));
  const chosen = new Set(props.chosen);
  const flip = (field: string) =>
    props.set(chosen.has(field) ? props.chosen.filter((one) => one !== field) : withColumn(props.chosen, field));
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
          <button class="link" onClick={() => props.set(props.chosen.filter((one) => !found.includes(one)))}>
            Remove all {found.length}
          </button>
        </p>
      )}
      <ul class="column-list">
        {found.slice(0, LISTED).map((field) => (
          <li key={field}>
            <label class="clip">
              <input type="checkbox" checked={chosen.has(field)} onChange={() => flip(field)} />
              <span class="clip">{field}</span>
            </label>
          </li>
        ))}
      </ul>
      {found.length > LISTED && <p class="quiet">and {found.length - LISTED} more: search to find them</p>}
    </Dialog>
  );
}
