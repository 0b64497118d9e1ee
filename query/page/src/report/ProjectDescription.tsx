// The description of a project, which its members write.
import { useState } from "preact/hooks";
import { call } from "../api/client";
import { useQuery } from "../api/useQuery";
import { editProps } from "../state/permissions";
import { toast, withErrorToast } from "../ui/toasts";
import { Markdown } from "./Markdown";

const MAX_LENGTH = 16_000;

export function ProjectDescription({ team, project }: { team: string; project: string }) {
  const { data, refresh } = useQuery(
    `about ${team}/${project}`,
    async (signal) => {
      const { projects } = await call("ListProjects", { team }, signal);
      return projects.find((item) => item.name === project)?.description ?? "";
    },
    0,
    true,
  );
  const [draft, setDraft] = useState<string | null>(null);
  if (data === undefined) return null;
  const set = (description: string, done: string, undo?: string) =>
    withErrorToast(async () => {
      await call("UpdateProject", { team, project, description });
      setDraft(null);
      refresh();
      toast(done, undo === undefined ? {} : { undo: () => void set(undo, "Description restored") });
    });
  if (draft !== null) {
    return (
      <section class="block about" aria-label="About the project">
        <form
          class="stack"
          onSubmit={(event) => {
            event.preventDefault();
            void set(draft, "Description saved", data);
          }}
        >
          <label class="stack">
            <span>Description of the project (Markdown)</span>
            <textarea
              class="text-area"
              rows={8}
              autofocus
              maxLength={MAX_LENGTH}
              value={draft}
              onInput={(event) => setDraft(event.currentTarget.value)}
            />
          </label>
          <p class="row">
            <button class="button primary">Save</button>
            <button type="button" class="button plain" onClick={() => setDraft(null)}>
              Cancel
            </button>
          </p>
        </form>
      </section>
    );
  }
  return (
    <section class="block about" aria-label="About the project">
      {data && <Markdown text={data} />}
      <button class={data ? "link" : "link quiet"} {...editProps(team)} onClick={() => setDraft(data)}>
        {data ? "Edit the description" : "Describe this project"}
      </button>
    </section>
  );
}
