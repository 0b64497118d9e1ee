// The reports of a project: their list with the project's description, one report, and its editor.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { call } from "../api/client";
import type { Saved } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { formatAgo } from "../lib/format";
import { ProjectFrame, type ProjectProps } from "../project/ProjectFrame";
import { liveBlock } from "../report/LiveBlock";
import { Markdown } from "../report/Markdown";
import { ProjectDescription } from "../report/ProjectDescription";
import type { EditorProps } from "../report/useReportDraft";
import { copyLink, deleteSaved, savedKey, savedPath } from "../saved/savedItems";
import { editProps } from "../state/permissions";
import { navigate, path } from "../state/route";
import { user } from "../state/user";
import { EditLink } from "../ui/EditLink";
import { EmptyState, ErrorMessage, Loading } from "../ui/feedback";
import { Icon } from "../ui/Icon";
import { Menu, MenuItem } from "../ui/Menu";
import { toast, withErrorToast } from "../ui/toasts";
import "../styles/report.css";
import "../styles/saved.css";

const REFRESH_MS = 15_000;

export default function ReportsPage({ team, project, rest }: ProjectProps) {
  const [id = "", action = ""] = rest;
  if (id === "new") return <LazyEditor key="new" team={team} project={project} report={null} />;
  if (id) return <ReportView key={id} team={team} project={project} id={id} edit={action === "edit"} />;
  return <ReportList team={team} project={project} />;
}

function ReportList({ team, project }: { team: string; project: string }) {
  const { data, error, refresh } = useQuery(
    `reports ${team}/${project}`,
    (signal) => call("ListSaved", { team, project, kind: "SAVED_KIND_REPORT" }, signal),
    REFRESH_MS,
  );
  const reports = [...(data?.saved ?? [])].sort((a, b) => (b.updated ?? "").localeCompare(a.updated ?? ""));
  const newReportLink = (
    <EditLink team={team} class="button primary" href={path(team, project, "reports", "new")}>
      New report
    </EditLink>
  );
  return (
    <ProjectFrame team={team} project={project} tab="Reports">
      <div class="narrow">
        <ProjectDescription team={team} project={project} />
        {error && !data ? (
          <ErrorMessage error={error} retry={refresh} />
        ) : !data ? (
          <Loading />
        ) : !reports.length ? (
          <EmptyState title="No reports yet">
            <p>A report is a text with live charts. It says what was tried and what came out, and shows the runs.</p>
            <p class="row">{newReportLink}</p>
          </EmptyState>
        ) : (
          <section class="block">
            <div class="list-head">
              <h2 class="title">Reports</h2>
              <span class="grow" />
              {newReportLink}
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
                      <a class="strong" href={savedPath(report)}>
                        {report.name}
                      </a>
                      {!report.shared && <span class="quiet"> · private</span>}
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

function ReportView({ team, project, id, edit }: { team: string; project: string; id: string; edit: boolean }) {
  const {
    data: report,
    error,
    refresh,
  } = useQuery(
    `report ${team}/${project}/${id}`,
    (signal) => call("GetSaved", { team, project, id }, signal),
    edit ? 0 : REFRESH_MS,
    true,
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: the title shows the name alone
  useEffect(() => {
    if (report) document.title = `${report.name} · ${project} · runstream`;
  }, [report?.name]);
  if (error && !report) return <ErrorMessage error={error} retry={refresh} />;
  if (!report) return <Loading />;
  if (report.deleted) {
    return (
      <EmptyState title={`${report.name} was deleted`}>
        <p>You can restore it within 30 days.</p>
        <p class="row">
          <button
            class="button"
            {...editProps(team)}
            onClick={() => void withErrorToast(() => call("RestoreSaved", savedKey(report))).then(refresh)}
          >
            Restore it
          </button>
        </p>
      </EmptyState>
    );
  }
  if (edit) return <LazyEditor team={team} project={project} report={report} />;
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
            <EditLink team={team} class="button" href={savedPath(report, "edit")}>
              Edit
            </EditLink>
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
      await call("UpdateSaved", { ...savedKey(report), version: report.version, shared: !report.shared });
      toast(report.shared ? "Private now" : "Shared with the team");
    }).then(changed);
  const onDeleted = () => (isOpen(report) ? navigate(path(report.team, report.project, "reports")) : changed());
  return (
    <Menu label={`More about ${report.name}`} button={<Icon name="more" />}>
      <MenuItem onSelect={() => copyLink(savedPath(report), report.name)}>Copy the link</MenuItem>
      {report.owner === user.value?.user && (
        <MenuItem checked={report.shared} {...editProps(report.team)} onSelect={() => void share()}>
          Shared with the team
        </MenuItem>
      )}
      <MenuItem danger {...editProps(report.team)} onSelect={() => void deleteSaved(report, onDeleted)}>
        Delete
      </MenuItem>
    </Menu>
  );
}

function isOpen(report: Saved): boolean {
  return location.pathname === savedPath(report);
}

/** Load the code of the editor when it is needed. */
function LazyEditor(props: EditorProps) {
  const [editor, setEditor] = useState<{ component: ComponentType<EditorProps> }>();
  useEffect(() => {
    void import("../report/ReportEditor").then((module) => setEditor({ component: module.ReportEditor }));
  }, []);
  return editor ? <editor.component {...props} /> : <Loading />;
}
