// The frame of a project's views: tabs that keep the selection of runs.
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { queryToText, withChanges } from "../lib/urlQuery";
import { path, route } from "../state/route";
import { Icon, type IconName } from "../ui/Icon";

export interface ProjectProps {
  team: string;
  project: string;
  rest: string[];
}

const KEPT_PARAMETERS = ["on", "off", "run", "color", "find", "f", "sort", "group"];

export function ProjectFrame(props: {
  team: string;
  project: string;
  tab: string;
  children: ComponentChildren;
  tools?: ComponentChildren;
}) {
  useEffect(() => {
    document.title = `${props.project} · runstream`;
  }, [props.project]);
  const kept = new URLSearchParams();
  for (const name of KEPT_PARAMETERS) for (const value of route.value.query.getAll(name)) kept.append(name, value);
  const tabUrl = (view: string) =>
    path(props.team, props.project, ...(view ? [view] : [])) + queryToText(withChanges(kept, {}));
  const tab = (name: string, view: string, icon: IconName) => (
    <a href={tabUrl(view)} aria-current={props.tab === name ? "page" : undefined}>
      <Icon name={icon} />
      {name}
    </a>
  );
  return (
    <div class="project">
      <h1 class="unseen">
        {props.project}: {props.tab}
      </h1>
      <nav class="tabs" aria-label="Views of the project">
        {tab("Charts", "", "chart")}
        {tab("Runs", "table", "table")}
        {tab("Explore", "explore", "lines")}
        {tab("Sweeps", "sweeps", "sweep")}
        {tab("Reports", "reports", "report")}
        <span class="grow" />
        {props.tools}
      </nav>
      {props.children}
    </div>
  );
}
