// Saved views of the charts or of the table: open, save, update, rename, share, delete.
import { useState } from "preact/hooks";
import { call } from "../api/client";
import type { Saved, SavedKind } from "../api/contract";
import { useAnswer } from "../api/useQuery";
import { changing } from "../state/permissions";
import { path, place, setQuery } from "../state/route";
import { user } from "../state/user";
import { Icon } from "../ui/Icon";
import { Menu, MenuItem } from "../ui/Menu";
import { toast, withErrorToast } from "../ui/toasts";
import { NameDialog } from "./NameDialog";
import { addressOf, copyAddress, deleteSaved, placeOf } from "./savedItems";
import { contentOf, MOST_CHARACTERS, queryOf, sameView } from "./viewQuery";
import "../styles/saved.css";

const AGAIN_MS = 30_000;

export function ViewsMenu({ team, project, kind }: { team: string; project: string; kind: SavedKind }) {
  const { data, error, refresh } = useAnswer(
    `views ${team}/${project} ${kind}`,
    (signal) => call("ListSaved", { team, project, kind }, signal),
    AGAIN_MS,
    true,
  );
  const views = data?.saved ?? [];
  const open = place.value.query.get("view") ?? "";
  const known = views.find((one) => one.id === open);
  const own = useAnswer(
    known ? `view ${team}/${project}/${open} ${known.version}` : null,
    (signal) => call("GetSaved", { team, project, id: open }, signal),
    0,
  );
  const [asking, setAsking] = useState<"save" | "rename" | null>(null);
  const content = contentOf(place.value.query);
  const changed = known !== undefined && own.data !== undefined && !sameView(own.data.content, content);
  const base = path(team, project, ...(kind === "SAVED_KIND_TABLE" ? ["table"] : []));

  const save = (name: string, shared: boolean, id: string) =>
    withErrorToast(async () => {
      if (content.length > MOST_CHARACTERS)
        throw new Error("this view says too much to be saved: choose fewer runs, colours or columns");
      const made = await call("CreateSaved", { team, project, kind, name, content, shared, id });
      setQuery({ view: made.id });
      refresh();
      setAsking(null);
      toast(`Saved as ${made.name}${made.shared ? ", for the team" : ""}`);
    });
  const update = (view: Saved, change: Partial<Saved>, done: string) =>
    withErrorToast(async () => {
      await call("UpdateSaved", { ...placeOf(view), version: view.version, ...change });
      refresh();
      setAsking(null);
      toast(done);
    }).then((right) => right || refresh());
  const changedList = () => {
    if (known) setQuery({ view: null });
    refresh();
  };

  return (
    <>
      <Menu
        class="views-menu"
        label={known ? `Views: ${known.name}` : "Views"}
        button={
          <>
            <Icon name="bookmark" />
            <span class="clip">{known?.name ?? "Views"}</span>
            {changed && (
              <span class="changed" title="Not as it was saved">
                •
              </span>
            )}
          </>
        }
      >
        {error && !data && <p class="menu-note">{error.message}</p>}
        {data && !views.length && (
          <p class="menu-note">
            Columns, filters, order, colours, panels: save what you see, and come back to it by its name.
          </p>
        )}
        <div class="view-list">
          {views.map((view) => (
            <a
              key={view.id}
              class="menu-item"
              href={addressOf(view)}
              aria-current={view.id === open ? "true" : undefined}
            >
              <span class="tick">{view.id === open ? "✓" : ""}</span>
              <span class="clip">{view.name}</span>
              <span class="quiet small">
                {view.shared ? (view.owner === user.value?.user ? "team" : view.owner) : "mine"}
              </span>
            </a>
          ))}
        </div>
        <hr />
        {known && changed && (
          <MenuItem {...changing(team)} act={() => void update(known, { content }, `${known.name} saved`)}>
            Save changes to {known.name}
          </MenuItem>
        )}
        {known && changed && own.data && (
          <a class="menu-item" href={base + queryOf(own.data.content, known.id)}>
            <span class="tick" />
            Back to how it was saved
          </a>
        )}
        <MenuItem {...changing(team)} act={() => setAsking("save")}>
          Save as…
        </MenuItem>
        {known && (
          <>
            <MenuItem {...changing(team)} act={() => setAsking("rename")}>
              Rename…
            </MenuItem>
            <MenuItem act={() => copyAddress(addressOf(known), known.name)}>Copy the link</MenuItem>
            {known.owner === user.value?.user && (
              <MenuItem
                checked={known.shared}
                {...changing(team)}
                act={() =>
                  void update(
                    known,
                    { shared: !known.shared },
                    known.shared ? `${known.name} is yours alone` : `${known.name} is the team's, too`,
                  )
                }
              >
                Shared with the team
              </MenuItem>
            )}
            <MenuItem danger {...changing(team)} act={() => void deleteSaved(known, changedList)}>
              Delete {known.name}
            </MenuItem>
          </>
        )}
      </Menu>
      {asking === "save" && (
        <NameDialog
          title="Save this view"
          name={known ? `${known.name} 2` : ""}
          shared={false}
          act={save}
          close={() => setAsking(null)}
        />
      )}
      {asking === "rename" && known && (
        <NameDialog
          title="Rename the view"
          name={known.name}
          act={(name) => update(known, { name }, `Renamed to ${name}`)}
          close={() => setAsking(null)}
        />
      )}
    </>
  );
}
