// A dialog that asks for a name and, for new items, whether to share it.
import { useState } from "preact/hooks";
import { Dialog } from "../ui/Dialog";
import { newId } from "./savedItems";

export function NameDialog(props: {
  title: string;
  name: string;
  shared?: boolean;
  onSave: (name: string, shared: boolean, id: string) => Promise<unknown>;
  close: () => void;
}) {
  const [name, setName] = useState(props.name);
  const [shared, setShared] = useState(props.shared ?? false);
  const [id] = useState(newId);
  const [busy, setBusy] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (!name.trim() || busy) return;
    setBusy(true);
    await props.onSave(name.trim(), shared, id);
    setBusy(false);
  };
  return (
    <Dialog title={props.title} close={props.close}>
      <form class="stack" onSubmit={(event) => void submit(event)}>
        <label class="stack">
          <span>Name</span>
          <input
            class="text-input"
            autofocus
            required
            maxLength={128}
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </label>
        {props.shared !== undefined && (
          <label class="check">
            <input type="checkbox" checked={shared} onChange={(event) => setShared(event.currentTarget.checked)} />{" "}
            Share it with the team
          </label>
        )}
        <p class="row">
          <button class="button primary" disabled={busy || !name.trim()}>
            Save
          </button>
          <button type="button" class="button plain" onClick={props.close}>
            Cancel
          </button>
        </p>
      </form>
    </Dialog>
  );
}
