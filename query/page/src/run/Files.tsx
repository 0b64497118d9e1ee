// The files and the code that a run has saved.
import { call } from "../api/client";
import { useQuery } from "../api/useQuery";
import { formatBytes } from "../lib/format";
import { EmptyState, ErrorMessage, Loading } from "../ui/feedback";
import type { RunProps } from "./tabProps";
import "../styles/rich.css";

export default function Files({ run }: RunProps) {
  const { data, error, refresh } = useQuery(
    `files ${run.team}/${run.project}/${run.id}`,
    (signal) => call("ListFiles", { team: run.team, project: run.project, run: run.id, page_size: 10_000 }, signal),
    run.state === "RUN_STATE_RUNNING" ? 5000 : 0,
    true,
  );
  if (error && !data) return <ErrorMessage error={error} retry={refresh} />;
  if (!data) return <Loading />;
  if (!data.files.length)
    return (
      <EmptyState title="No files">
        <p>
          Save files with the run: <code>run.save("model.pt")</code>.
        </p>
      </EmptyState>
    );
  return (
    <div class="rich">
      <table class="plain-table dense">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Kind</th>
            <th scope="col" class="right">
              Rank
            </th>
            <th scope="col" class="right">
              Size
            </th>
          </tr>
        </thead>
        <tbody>
          {data.files.map((file) => (
            <tr key={`${file.category} ${file.name} ${file.rank}`}>
              <td>
                <a href={`/${file.path.replace(/^\/+/, "")}`} download={file.name.split("/").at(-1)}>
                  {file.name}
                </a>
              </td>
              <td>{file.category}</td>
              <td class="right numeric">{file.rank}</td>
              <td class="right numeric">{formatBytes(Number(file.size_bytes))}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
