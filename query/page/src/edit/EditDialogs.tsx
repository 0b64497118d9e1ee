// Dialogs that edit runs: the tags of several runs, or name, notes, group and tags of one run. The toast after a change
// offers Undo.
import { useState } from "preact/hooks";
import { call } from "../api/client";
import type { Run } from "../api/contract";
import { count } from "../lib/format";
import { Dialog } from "../ui/Dialog";
import { toast, withErrorToast } from "../ui/toasts";
import {
  countTags,
  editableFields,
  fieldChange,
  parseTags,
  type RunEdit,
  restoreTagsChanges,
  tagChange,
} from "./runChanges";
import "../styles/saved.css";

interface EditProps {
  changed: () => void;
  close: () => void;
}

function send(
  run: Run,
  change: RunEdit,
  back: readonly RunEdit[],
  done: string,
  changed: () => void,
): Promise<boolean> {
  const place = { team: run.team, project: run.project };
  const undo = () =>
    void withErrorToast(async () => {
      for (const item of back) await call("UpdateRuns", { ...place, ...item });
      changed();
    });
  return withErrorToast(async () => {
    await call("UpdateRuns", { ...place, ...change });
    changed();
    toast(done, { undo });
  });
}

const LISTED = 60;

export function TagDialog({ runs, changed, close }: EditProps & { runs: readonly Run[] }) {
  const [known] = useState(() => countTags(runs));
  const [set, setSet] = useState<ReadonlyMap<string, boolean>>(new Map());
  const [more, setMore] = useState("");
  const [busy, setBusy] = useState(false);
  const flip = (tag: string, on: boolean) => setSet(new Map([...set, [tag, on]]));
  const submit = async (event: Event) => {
    event.preventDefault();
    const chosen = [...set];
    const add = [...new Set([...chosen.filter(([, on]) => on).map(([tag]) => tag), ...parseTags(more)])];
    const remove = chosen.filter(([tag, on]) => !on && !add.includes(tag)).map(([tag]) => tag);
    const change = tagChange(runs, add, remove);
    if (!change) return close();
    setBusy(true);
    const touched = runs.filter((run) => change.runs!.includes(run.id));
    if (
      await send(
        runs[0]!,
        change,
        restoreTagsChanges(touched),
        `Tags of ${count(touched.length, "run")} changed`,
        changed,
      )
    )
      close();
    setBusy(false);
  };
  return (
    <Dialog title={`Tags of ${count(runs.length, "run")}`} close={close}>
      <form class="stack" onSubmit={(event) => void submit(event)}>
        <label class="stack">
          <span>Add tags, separated by commas</span>
          <input
            class="text-input"
            autofocus
            value={more}
            onInput={(event) => setMore(event.currentTarget.value)}
            placeholder="baseline, paper"
          />
        </label>
        {known.length > 0 && (
          <ul class="tag-list">
            {known.slice(0, LISTED).map(([tag, amount]) => (
              <li key={tag}>
                <label class="check">
                  <input
                    type="checkbox"
                    checked={set.get(tag) ?? amount === runs.length}
                    ref={(box) => {
                      if (box) box.indeterminate = !set.has(tag) && amount < runs.length;
                    }}
                    onChange={(event) => flip(tag, event.currentTarget.checked)}
                  />
                  <span class="tag">{tag}</span>
                  <span class="quiet numeric">{amount === runs.length ? "all" : `${amount} of ${runs.length}`}</span>
                </label>
              </li>
            ))}
          </ul>
        )}
        <p class="row">
          <button class="button primary" disabled={busy}>
            Save
          </button>
          <button type="button" class="button plain" onClick={close}>
            Cancel
          </button>
        </p>
      </form>
    </Dialog>
  );
}

export function RunDialog({ run, changed, close }: EditProps & { run: Run }) {
  // The user edits the values of the moment when the dialog opened, though the run may change.
  const [before] = useState(() => editableFields(run));
  const [name, setName] = useState(before.name);
  const [notes, setNotes] = useState(before.notes);
  const [group, setGroup] = useState(before.group);
  const [tags, setTags] = useState(before.tags.join(", "));
  const [busy, setBusy] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    const after = {
      name: name.trim(),
      notes,
      group: group.trim(),
      tags: tags === before.tags.join(", ") ? before.tags : parseTags(tags),
    };
    const change = fieldChange(run.id, before, after);
    if (!change) return close();
    setBusy(true);
    const back = fieldChange(run.id, after, before);
    if (await send(run, change, back ? [back] : [], `${after.name} changed`, changed)) close();
    setBusy(false);
  };
  return (
    <Dialog title="Edit the run" close={close}>
      <form class="stack" onSubmit={(event) => void submit(event)}>
        <label class="stack">
          <span>Name</span>
          <input
            class="text-input"
            required
            maxLength={256}
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </label>
        <label class="stack">
          <span>Notes</span>
          <textarea
            class="text-area"
            rows={6}
            maxLength={65536}
            value={notes}
            onInput={(event) => setNotes(event.currentTarget.value)}
          />
        </label>
        <label class="stack">
          <span>Tags, separated by commas</span>
          <input class="text-input" value={tags} onInput={(event) => setTags(event.currentTarget.value)} />
        </label>
        <label class="stack">
          <span>Group</span>
          <input
            class="text-input"
            maxLength={128}
            value={group}
            onInput={(event) => setGroup(event.currentTarget.value)}
          />
        </label>
        <p class="row">
          <button class="button primary" disabled={busy || !name.trim()}>
            Save
          </button>
          <button type="button" class="button plain" onClick={close}>
            Cancel
          </button>
        </p>
      </form>
    </Dialog>
  );
}
