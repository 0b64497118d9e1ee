// The project's charts, with its runs beside them.
import { useState } from "preact/hooks";
import { isDoomed } from "../project/deletion";
import { FirstRun } from "../project/FirstRun";
import { ProjectFrame, type ProjectProps } from "../project/ProjectFrame";
import { useColors } from "../project/runColors";
import { questionOf } from "../project/runQuery";
import { chosenRuns, useRuns } from "../project/runSelection";
import { ViewsMenu } from "../saved/ViewsMenu";
import { place } from "../state/route";
import { useShortcut } from "../state/shortcuts";
import { ErrorNote, Loading } from "../ui/feedback";
import { Icon } from "../ui/Icon";
import { Charts } from "../workspace/ChartSections";
import { RunList } from "../workspace/RunList";

const toggleList = () => document.querySelector<HTMLButtonElement>("#list-button")?.click();

export default function Workspace({ team, project }: ProjectProps) {
  const { query } = place.value;
  const runs = useRuns(team, project);
  const question = questionOf(query);
  const [strong, setStrong] = useState<string | null>(null);
  const [listed, setListed] = useState(() => innerWidth >= 900);
  const listedRuns = (runs.data?.runs ?? []).filter((run) => !isDoomed(run));
  const shown = chosenRuns(listedRuns, query);
  const colors = useColors(shown);
  useShortcut("s", "Show or hide the list of runs", toggleList);
  if (runs.error && !runs.data) return <ErrorNote error={runs.error} retry={runs.refresh} />;
  if (!runs.data) return <Loading />;
  const tools = (
    <button id="list-button" class="button plain" aria-expanded={listed} onClick={() => setListed(!listed)}>
      <Icon name="list" /> {shown.length} of {runs.data.total} runs
    </button>
  );
  return (
    <ProjectFrame team={team} project={project} tab="Charts" tools={tools}>
      {runs.data.total === "0" && !question.search && !question.filter ? (
        <FirstRun project={project} />
      ) : (
        <div class={listed ? "workspace" : "workspace alone"}>
          {listed && (
            <RunList
              runs={listedRuns}
              total={Number(runs.data.total)}
              shown={shown}
              colors={colors}
              hover={setStrong}
              close={() => setListed(false)}
            />
          )}
          <Charts
            team={team}
            project={project}
            runs={shown}
            colors={colors}
            strong={strong}
            by={question.by}
            tools={<ViewsMenu team={team} project={project} kind="SAVED_KIND_CHARTS" />}
          />
        </div>
      )}
    </ProjectFrame>
  );
}
