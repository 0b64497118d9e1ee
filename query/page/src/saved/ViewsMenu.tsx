// Saved views of the charts or of the table: open, save, update, rename, share, delete.
import { useState } from "preact/hooks";
import { call } from "../api/client";
import type { Saved, SavedKind } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { editProps } from "../state/permissions";
import { path, route, setQuery } from "../state/route";
import { user } from "../state/user";
import { Icon } from "../ui/Icon";
import { Menu, MenuItem } from "../ui/Menu";
import { toast, withErrorToast } from "../ui/toasts";
import { NameDialog } from "./NameDialog";
import { copyLink, deleteSaved, savedKey, savedPath } from "./savedItems";
import { isSameView, MAX_CHARACTERS, viewContent, viewToQuery } from "./viewQuery";
import "../styles/saved.css";

const REFRESH_MS = 30_000;

export function ViewsMenu({ team, project, kind }: { team: string; project: string; kind: SavedKind }) {
  const { data, error, refresh } = useQuery(
    `views ${team}/${project} ${kind}`,
    (signal) => call("ListSaved", { team, project, kind }, signal),
    REFRESH_MS,
    true,
  );
  const views = data?.saved ?? [];
  const openId = route.value.query.get("view") ?? "";
  const openView = views.find((item) => item.id === openId);
  const savedView = useQuery(
    openView ? `view ${team}/${project}/${openId} ${openView.version}` : null,
    (signal) => call("GetSaved", { team, project, id: openId }, signal),
    0,
  );
  const [openDialog, setOpenDialog] = useState<"save" | "rename" | null>(null);
  const content = viewContent(route.value.query);
  const isChanged =
    openView !== undefined && savedView.data !== undefined && !isSameView(savedView.data.content, content);
  const base = path(team, project, ...(kind === "SAVED_KIND_TABLE" ? ["table"] : []));

  const save = (name: string, shared: boolean, id: string) =>
    withErrorToast(async () => {
      if (content.length > MAX_CHARACTERS)
        throw new Error("this view is too large to be saved: select fewer runs, colours or columns");
      const made = await call("CreateSaved", { team, project, kind, name, content, shared, id });
      setQuery({ view: made.id });
      refresh();
      setOpenDialog(null);
      toast(`Saved as ${made.name}${made.shared ? ", for the team" : ""}`);
    });
  const update = (view: Saved, change: Partial<Saved>, done: string) =>
    withErrorToast(async () => {
      await call("UpdateSaved", { ...savedKey(view), version: view.version, ...change });
      refresh();
      setOpenDialog(null);
      toast(done);
    }).then((right) => right || refresh());
  const onDeleted = () => {
    if (openView) setQuery({ view: null });
    refresh();
  };

  return (
    <>
      <Menu
        class="views-menu"
        label={openView ? `Views: ${openView.name}` : "Views"}
        button={<ViewsButton name={openView?.name} isChanged={isChanged} />}
      >
        {error && !data && <p class="menu-note">{error.message}</p>}
        {data && !views.length && (
          <p class="menu-note">
            Save the columns, filters, order, colours and panels that you see, and open them again by name.
          </p>
        )}
        <ViewList views={views} openId={openId} />
        <hr />
        {openView && isChanged && (
          <MenuItem {...editProps(team)} onSelect={() => void update(openView, { content }, `${openView.name} saved`)}>
            Save changes to {openView.name}
          </MenuItem>
        )}
        {openView && isChanged && savedView.data && (
          <a class="menu-item" href={base + viewToQuery(savedView.data.content, openView.id)}>
            <span class="tick" />
            Return to the saved view
          </a>
        )}
        <MenuItem {...editProps(team)} onSelect={() => setOpenDialog("save")}>
          Save as…
        </MenuItem>
        {openView && (
          <OpenViewItems
            view={openView}
            onRename={() => setOpenDialog("rename")}
            onShare={() =>
              void update(
                openView,
                { shared: !openView.shared },
                openView.shared ? `${openView.name} is private now` : `${openView.name} is shared with the team now`,
              )
            }
            onDeleted={onDeleted}
          />
        )}
      </Menu>
      {openDialog === "save" && (
        <NameDialog
          title="Save this view"
          name={openView ? `${openView.name} 2` : ""}
          shared={false}
          onSave={save}
          close={() => setOpenDialog(null)}
        />
      )}
      {openDialog === "rename" && openView && (
        <NameDialog
          title="Rename the view"
          name={openView.name}
          onSave={(name) => update(openView, { name }, `Renamed to ${name}`)}
          close={() => setOpenDialog(null)}
        />
      )}
    </>
  );
}

function ViewsButton({ name, isChanged }: { name: string | undefined; isChanged: boolean }) {
  return (
    <>
      <Icon name="bookmark" />
      <span class="clip">{name ?? "Views"}</span>
      {isChanged && (
        <span class="changed" title="This view has unsaved changes">
          •
        </span>
      )}
    </>
  );
}

function ViewList({ views, openId }: { views: readonly Saved[]; openId: string }) {
  return (
    <div class="view-list">
      {views.map((view) => (
        <a
          key={view.id}
          class="menu-item"
          href={savedPath(view)}
          aria-current={view.id === openId ? "true" : undefined}
        >
          <span class="tick">{view.id === openId ? "✓" : ""}</span>
          <span class="clip">{view.name}</span>
          <span class="quiet small">
            {view.shared ? (view.owner === user.value?.user ? "team" : view.owner) : "mine"}
          </span>
        </a>
      ))}
    </div>
  );
}

function OpenViewItems(props: { view: Saved; onRename: () => void; onShare: () => void; onDeleted: () => void }) {
  const { view } = props;
  return (
    <>
      <MenuItem {...editProps(view.team)} onSelect={props.onRename}>
        Rename…
      </MenuItem>
      <MenuItem onSelect={() => copyLink(savedPath(view), view.name)}>Copy the link</MenuItem>
      {view.owner === user.value?.user && (
        <MenuItem checked={view.shared} {...editProps(view.team)} onSelect={props.onShare}>
          Shared with the team
        </MenuItem>
      )}
      <MenuItem danger {...editProps(view.team)} onSelect={() => void deleteSaved(view, props.onDeleted)}>
        Delete {view.name}
      </MenuItem>
    </>
  );
}
