// The charts of a project, with the list of its runs.
import { useState } from "preact/hooks";
import { isBeingDeleted } from "../project/deletion";
import { FirstRun } from "../project/FirstRun";
import { ProjectFrame, type ProjectProps } from "../project/ProjectFrame";
import { useRunColors } from "../project/runColors";
import { readRunQuery } from "../project/runQuery";
import { selectShownRuns, useRuns } from "../project/runSelection";
import { ViewsMenu } from "../saved/ViewsMenu";
import { route } from "../state/route";
import { useShortcut } from "../state/shortcuts";
import { ErrorMessage, Loading } from "../ui/feedback";
import { Icon } from "../ui/Icon";
import { ChartSections } from "../workspace/ChartSections";
import { RunList } from "../workspace/RunList";

const toggleList = () => document.querySelector<HTMLButtonElement>("#list-button")?.click();

export default function WorkspacePage({ team, project }: ProjectProps) {
  const { query } = route.value;
  const runs = useRuns(team, project);
  const runQuery = readRunQuery(query);
  const [highlightedRun, setHighlightedRun] = useState<string | null>(null);
  const [isListOpen, setListOpen] = useState(() => innerWidth >= 900);
  const runsInList = (runs.data?.runs ?? []).filter((run) => !isBeingDeleted(run));
  const shown = selectShownRuns(runsInList, query);
  const colors = useRunColors(shown);
  useShortcut("s", "Show or hide the list of runs", toggleList);
  if (runs.error && !runs.data) return <ErrorMessage error={runs.error} retry={runs.refresh} />;
  if (!runs.data) return <Loading />;
  const tools = (
    <button id="list-button" class="button plain" aria-expanded={isListOpen} onClick={() => setListOpen(!isListOpen)}>
      <Icon name="list" /> {shown.length} of {runs.data.total} runs
    </button>
  );
  return (
    <ProjectFrame team={team} project={project} tab="Charts" tools={tools}>
      {runs.data.total === "0" && !runQuery.search && !runQuery.filter ? (
        <FirstRun project={project} />
      ) : (
        <div class={isListOpen ? "workspace" : "workspace alone"}>
          {isListOpen && (
            <RunList
              runs={runsInList}
              total={Number(runs.data.total)}
              shown={shown}
              colors={colors}
              hover={setHighlightedRun}
              close={() => setListOpen(false)}
            />
          )}
          <ChartSections
            team={team}
            project={project}
            runs={shown}
            colors={colors}
            highlightedRun={highlightedRun}
            groupBy={runQuery.by}
            tools={<ViewsMenu team={team} project={project} kind="SAVED_KIND_CHARTS" />}
          />
        </div>
      )}
    </ProjectFrame>
  );
}
