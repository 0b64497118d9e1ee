// The sweeps of a project, and the page of one sweep.

import { ProjectFrame, type ProjectProps } from "../project/ProjectFrame";
import { SweepDetails } from "../sweep/SweepDetails";
import { SweepList } from "../sweep/SweepList";
import "../styles/run.css";
import "../styles/table.css";
import "../styles/charts.css";
import "../styles/explore.css";

export default function SweepsPage({ team, project, rest }: ProjectProps) {
  const [id] = rest;
  return (
    <ProjectFrame team={team} project={project} tab="Sweeps">
      {id ? (
        <SweepDetails key={id} team={team} project={project} id={id} />
      ) : (
        <SweepList team={team} project={project} />
      )}
    </ProjectFrame>
  );
}
