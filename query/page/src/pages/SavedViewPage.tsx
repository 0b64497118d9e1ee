// The short address of a saved view: it leads to the view as it was saved.
import { useEffect } from "preact/hooks";
import { call } from "../api/client";
import { useAnswer } from "../api/useQuery";
import type { ProjectProps } from "../project/ProjectFrame";
import { placeOf } from "../saved/savedItems";
import { queryOf } from "../saved/viewQuery";
import { changing } from "../state/permissions";
import { go, path } from "../state/route";
import { Empty, ErrorNote, Loading } from "../ui/feedback";
import { withErrorToast } from "../ui/toasts";

export default function OpenView({ team, project, rest }: ProjectProps) {
  const id = rest[0] ?? "";
  const {
    data: view,
    error,
    refresh,
  } = useAnswer(`view ${team}/${project}/${id}`, (signal) => call("GetSaved", { team, project, id }, signal));
  useEffect(() => {
    if (!view || view.deleted) return;
    const tab = {
      SAVED_KIND_TABLE: ["table"],
      SAVED_KIND_REPORT: ["reports", id],
      SAVED_KIND_CHARTS: [],
      SAVED_KIND_UNSPECIFIED: [],
    }[view.kind];
    go(path(team, project, ...tab) + (view.kind === "SAVED_KIND_REPORT" ? "" : queryOf(view.content, view.id)), true);
  }, [view]);
  if (error) return <ErrorNote error={error} retry={refresh} />;
  if (view?.deleted) {
    return (
      <Empty title={`${view.name} was deleted`}>
        <p class="row">
          <button
            class="button"
            {...changing(team)}
            onClick={() => void withErrorToast(() => call("RestoreSaved", placeOf(view))).then(refresh)}
          >
            Restore it
          </button>
        </p>
      </Empty>
    );
  }
  return <Loading />;
}
