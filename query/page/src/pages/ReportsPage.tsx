// Reports of a project: their list with what the project is, one of them, and its editor.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { call } from "../api/client";
import type { Saved } from "../api/contract";
import { useAnswer } from "../api/useQuery";
import { formatAgo } from "../lib/format";
import { ProjectFrame, type ProjectProps } from "../project/ProjectFrame";
import { liveBlock } from "../report/LiveBlock";
import { Markdown } from "../report/Markdown";
import { About } from "../report/ProjectDescription";
import type { EditorProps } from "../report/ReportEditor";
import { addressOf, copyAddress, deleteSaved, placeOf } from "../saved/savedItems";
import { changing } from "../state/permissions";
import { go, path } from "../state/route";
import { user } from "../state/user";
import { ChangeLink } from "../ui/EditLink";
import { Empty, ErrorNote, Loading } from "../ui/feedback";
import { Icon } from "../ui/Icon";
import { Menu, MenuItem } from "../ui/Menu";
import { toast, withErrorToast } from "../ui/toasts";
import "../styles/report.css";
import "../styles/saved.css";

const AGAIN_MS = 15_000;

export default function Reports({ team, project, rest }: ProjectProps) {
  const [id = "", act = ""] = rest;
  if (id === "new") return <Editing key="new" team={team} project={project} report={null} />;
  if (id) return <OneReport key={id} team={team} project={project} id={id} edit={act === "edit"} />;
  return <List team={team} project={project} />;
}

function List({ team, project }: { team: string; project: string }) {
  const { data, error, refresh } = useAnswer(
    `reports ${team}/${project}`,
    (signal) => call("ListSaved", { team, project, kind: "SAVED_KIND_REPORT" }, signal),
    AGAIN_MS,
  );
  const reports = [...(data?.saved ?? [])].sort((a, b) => (b.updated ?? "").localeCompare(a.updated ?? ""));
  const make = (
    <ChangeLink team={team} class="button primary" href={path(team, project, "reports", "new")}>
      New report
    </ChangeLink>
  );
  return (
    <ProjectFrame team={team} project={project} tab="Reports">
      <div class="narrow">
        <About team={team} project={project} />
        {error && !data ? (
          <ErrorNote error={error} retry={refresh} />
        ) : !data ? (
          <Loading />
        ) : !reports.length ? (
          <Empty title="No reports yet">
            <p>A report is text with live charts: what was tried, what came out, and the runs that show it.</p>
            <p class="row">{make}</p>
          </Empty>
        ) : (
          <section class="block">
            <div class="list-head">
              <h2 class="title">Reports</h2>
              <span class="grow" />
              {make}
            </div>
            <table class="plain-table">
              <thead>
                <tr>
                  <th scope="col">Report</th>
                  <th scope="col" class="wide-only">
                    By
                  </th>
                  <th scope="col" class="right">
                    Changed
                  </th>
                  <th scope="col">
                    <span class="unseen">More</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {reports.map((report) => (
                  <tr key={report.id}>
                    <td>
                      <a class="strong" href={addressOf(report)}>
                        {report.name}
                      </a>
                      {!report.shared && <span class="quiet"> · yours alone</span>}
                    </td>
                    <td class="wide-only">{report.owner}</td>
                    <td class="right numeric">{formatAgo(report.updated)}</td>
                    <td class="right">
                      <ReportMenu report={report} changed={refresh} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </section>
        )}
      </div>
    </ProjectFrame>
  );
}

function OneReport({ team, project, id, edit }: { team: string; project: string; id: string; edit: boolean }) {
  const {
    data: report,
    error,
    refresh,
  } = useAnswer(
    `report ${team}/${project}/${id}`,
    (signal) => call("GetSaved", { team, project, id }, signal),
    edit ? 0 : AGAIN_MS,
    true,
  );
  useEffect(() => {
    if (report) document.title = `${report.name} · ${project} · runstream`;
  }, [report?.name]);
  if (error && !report) return <ErrorNote error={error} retry={refresh} />;
  if (!report) return <Loading />;
  if (report.deleted) {
    return (
      <Empty title={`${report.name} was deleted`}>
        <p>It can be restored for 30 days.</p>
        <p class="row">
          <button
            class="button"
            {...changing(team)}
            onClick={() => void withErrorToast(() => call("RestoreSaved", placeOf(report))).then(refresh)}
          >
            Restore it
          </button>
        </p>
      </Empty>
    );
  }
  if (edit) return <Editing team={team} project={project} report={report} />;
  return (
    <ProjectFrame team={team} project={project} tab="Reports">
      <article class="report">
        <header>
          <h1>{report.name}</h1>
          <p class="quiet report-line">
            <span>
              {report.owner}, changed {formatAgo(report.updated)}
              {report.updated_by !== report.owner && ` by ${report.updated_by}`}
              {!report.shared && " · yours alone"}
            </span>
            <span class="grow" />
            <ChangeLink team={team} class="button" href={addressOf(report, "edit")}>
              Edit
            </ChangeLink>
            <ReportMenu report={report} changed={refresh} />
          </p>
        </header>
        <Markdown text={report.content} block={liveBlock({ team, project })} />
      </article>
    </ProjectFrame>
  );
}

function ReportMenu({ report, changed }: { report: Saved; changed: () => void }) {
  const share = () =>
    withErrorToast(async () => {
      await call("UpdateSaved", { ...placeOf(report), version: report.version, shared: !report.shared });
      toast(report.shared ? "Yours alone" : "Shared with the team");
    }).then(changed);
  const leave = () => (isOpen(report) ? go(path(report.team, report.project, "reports")) : changed());
  return (
    <Menu label={`More about ${report.name}`} button={<Icon name="more" />}>
      <MenuItem act={() => copyAddress(addressOf(report), report.name)}>Copy the link</MenuItem>
      {report.owner === user.value?.user && (
        <MenuItem checked={report.shared} {...changing(report.team)} act={() => void share()}>
          Shared with the team
        </MenuItem>
      )}
      <MenuItem danger {...changing(report.team)} act={() => void deleteSaved(report, leave)}>
        Delete
      </MenuItem>
    </Menu>
  );
}

function isOpen(report: Saved): boolean {
  return location.pathname === addressOf(report);
}

/** The editor's code comes when somebody writes. */
function Editing(props: EditorProps) {
  const [editor, setEditor] = useState<{ component: ComponentType<EditorProps> }>();
  useEffect(() => {
    void import("../report/ReportEditor").then((module) => setEditor({ component: module.Editor }));
  }, []);
  return editor ? <editor.component {...props} /> : <Loading />;
}
