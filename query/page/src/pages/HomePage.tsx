// The start page: projects by team, and running runs.
import { useEffect } from "preact/hooks";
import { call } from "../api/client";
import type { Project, Run } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { count, formatAgo, formatDuration } from "../lib/format";
import { FirstRun } from "../project/FirstRun";
import { path } from "../state/route";
import { user } from "../state/user";
import { ErrorMessage, Loading } from "../ui/feedback";
import { RunStateBadge } from "../ui/RunStateBadge";

const MAX_PROJECTS_WATCHED = 8; // projects whose running runs are shown: those with the latest heartbeats
const RECENT_MS = 15 * 60_000;

export function HomePage({ team }: { team?: string }) {
  useEffect(() => {
    document.title = team ? `${team} · runstream` : "runstream";
  }, [team]);
  const shownTeam = team === "-" ? user.value!.default_team : team;
  const { data, error, refresh } = useQuery(
    `projects ${shownTeam ?? ""}`,
    (signal) => call("ListProjects", { team: shownTeam ?? "" }, signal),
    5000,
  );
  if (error && !data) return <ErrorMessage error={error} retry={refresh} />;
  if (!data) return <Loading />;
  const projects = [...data.projects].sort((a, b) => lastActivity(b) - lastActivity(a));
  const teams = shownTeam ? [shownTeam] : user.value!.teams;
  return (
    <div class="narrow">
      {!projects.length && <FirstRun />}
      <Running projects={projects} />
      {teams.map((name) => {
        const teamProjects = projects.filter((project) => project.team === name);
        if (!teamProjects.length && teams.length > 1 && projects.length) return null;
        return (
          <section key={name} class="block">
            <h1 class="title">{name}</h1>
            {teamProjects.length > 0 && <Projects projects={teamProjects} />}
          </section>
        );
      })}
    </div>
  );
}

function Projects({ projects }: { projects: Project[] }) {
  return (
    <table class="plain-table">
      <thead>
        <tr>
          <th scope="col">Project</th>
          <th scope="col" class="right">
            Runs
          </th>
          <th scope="col" class="right">
            Last activity
          </th>
          <th scope="col" class="right wide-only">
            Created
          </th>
        </tr>
      </thead>
      <tbody>
        {projects.map((project) => (
          <tr key={project.name}>
            <td>
              <a class="strong" href={path(project.team, project.name)}>
                {project.name}
              </a>
              {project.description && <span class="quiet about-line">{firstLine(project.description)}</span>}
            </td>
            <td class="right numeric">{Number(project.runs).toLocaleString("en-US")}</td>
            <td class="right numeric">{formatAgo(project.last_activity)}</td>
            <td class="right numeric wide-only">{formatAgo(project.created)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Running({ projects }: { projects: Project[] }) {
  const activeProjects = projects
    .filter((project) => Date.now() - lastActivity(project) < RECENT_MS)
    .slice(0, MAX_PROJECTS_WATCHED);
  const names = activeProjects.map((project) => `${project.team}/${project.name}`);
  const { data } = useQuery(
    names.length ? `running ${names.join(" ")}` : null,
    async (signal) => {
      const answers = await Promise.all(
        activeProjects.map((project) =>
          call(
            "ListRuns",
            { team: project.team, project: project.name, state: "RUN_STATE_RUNNING", page_size: 10, fields: ["none"] },
            signal,
          ),
        ),
      );
      return answers.flatMap((answer) => answer.runs);
    },
    4000,
    true,
  );
  if (!data?.length) return null;
  return (
    <section class="block" aria-label="Running now">
      <h2 class="title">
        Running now <span class="quiet">{count(data.length, "run")}</span>
      </h2>
      <ul class="cards">
        {data.map((run) => (
          <RunCard key={`${run.team}/${run.project}/${run.id}`} run={run} />
        ))}
      </ul>
    </section>
  );
}

function RunCard({ run }: { run: Run }) {
  return (
    <li>
      <a class="card" href={path(run.team, run.project, "runs", run.id)}>
        <span class="card-head">
          <RunStateBadge state={run.state} bare />
          <b class="clip">{run.name}</b>
        </span>
        <span class="quiet clip">
          {run.team}/{run.project}
        </span>
        <span class="quiet numeric">
          {formatDuration(run.duration_s as number)}
          {run.world_size > 1 && ` · ${count(run.world_size, "rank")}`}
        </span>
      </a>
    </li>
  );
}

/** Return the first line of a description in Markdown, as plain text. */
function firstLine(text: string): string {
  const line = text.split("\n").find((item) => item.trim()) ?? "";
  return line
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/[*_`#>]+/g, "")
    .trim();
}

function lastActivity(project: Project): number {
  return Date.parse(project.last_activity ?? project.created ?? "1970-01-01");
}
