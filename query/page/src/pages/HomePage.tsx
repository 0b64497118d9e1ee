// Projects by team, and what is running now.
import { useEffect } from "preact/hooks";
import { call } from "../api/client";
import type { Project, Run } from "../api/contract";
import { useAnswer } from "../api/useQuery";
import { count, formatAgo, formatDuration } from "../lib/format";
import { FirstRun } from "../project/FirstRun";
import { path } from "../state/route";
import { user } from "../state/user";
import { ErrorNote, Loading } from "../ui/feedback";
import { RunStateBadge } from "../ui/RunStateBadge";

const LOOKED_AT = 8; // projects whose running runs are asked for: those with the latest sign of life
const RECENT_MS = 15 * 60_000;

export function Home({ team }: { team?: string }) {
  useEffect(() => {
    document.title = team ? `${team} · runstream` : "runstream";
  }, [team]);
  const known = team === "-" ? user.value!.default_team : team;
  const { data, error, refresh } = useAnswer(
    `projects ${known ?? ""}`,
    (signal) => call("ListProjects", { team: known ?? "" }, signal),
    5000,
  );
  if (error && !data) return <ErrorNote error={error} retry={refresh} />;
  if (!data) return <Loading />;
  const projects = [...data.projects].sort((a, b) => activity(b) - activity(a));
  const teams = known ? [known] : user.value!.teams;
  return (
    <div class="narrow">
      {!projects.length && <FirstRun />}
      <Running projects={projects} />
      {teams.map((name) => {
        const own = projects.filter((project) => project.team === name);
        if (!own.length && teams.length > 1 && projects.length) return null;
        return (
          <section key={name} class="block">
            <h1 class="title">{name}</h1>
            {own.length > 0 && <Projects projects={own} />}
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
  const lively = projects.filter((project) => Date.now() - activity(project) < RECENT_MS).slice(0, LOOKED_AT);
  const names = lively.map((project) => `${project.team}/${project.name}`);
  const { data } = useAnswer(
    names.length ? `running ${names.join(" ")}` : null,
    async (signal) => {
      const answers = await Promise.all(
        lively.map((project) =>
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

/** Of a description in Markdown, as plain text. */
function firstLine(text: string): string {
  const line = text.split("\n").find((one) => one.trim()) ?? "";
  return line
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/[*_`#>]+/g, "")
    .trim();
}

function activity(project: Project): number {
  return Date.parse(project.last_activity ?? project.created ?? "1970-01-01");
}
