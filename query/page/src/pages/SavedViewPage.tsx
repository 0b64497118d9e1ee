// The short URL of a saved view. It leads to the view as it was saved.
import { useEffect } from "preact/hooks";
import { call } from "../api/client";
import { useQuery } from "../api/useQuery";
import type { ProjectProps } from "../project/ProjectFrame";
import { savedKey } from "../saved/savedItems";
import { viewToQuery } from "../saved/viewQuery";
import { editProps } from "../state/permissions";
import { navigate, path } from "../state/route";
import { EmptyState, ErrorMessage, Loading } from "../ui/feedback";
import { withErrorToast } from "../ui/toasts";

export default function SavedViewPage({ team, project, rest }: ProjectProps) {
  const id = rest[0] ?? "";
  const {
    data: view,
    error,
    refresh,
  } = useQuery(`view ${team}/${project}/${id}`, (signal) => call("GetSaved", { team, project, id }, signal));
  // biome-ignore lint/correctness/useExhaustiveDependencies: a view is opened once, when it has come
  useEffect(() => {
    if (!view || view.deleted) return;
    const tab = {
      SAVED_KIND_TABLE: ["table"],
      SAVED_KIND_REPORT: ["reports", id],
      SAVED_KIND_CHARTS: [],
      SAVED_KIND_UNSPECIFIED: [],
    }[view.kind];
    navigate(
      path(team, project, ...tab) + (view.kind === "SAVED_KIND_REPORT" ? "" : viewToQuery(view.content, view.id)),
      true,
    );
  }, [view]);
  if (error) return <ErrorMessage error={error} retry={refresh} />;
  if (view?.deleted) {
    return (
      <EmptyState title={`${view.name} was deleted`}>
        <p class="row">
          <button
            class="button"
            {...editProps(team)}
            onClick={() => void withErrorToast(() => call("RestoreSaved", savedKey(view))).then(refresh)}
          >
            Restore it
          </button>
        </p>
      </EmptyState>
    );
  }
  return <Loading />;
}
