// The edits of a run: who changed what, and when.
import { call } from "../api/client";
import type { Change, JsonValue, Run } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { formatAgo, formatTime, formatValue } from "../lib/format";
import { Card } from "../ui/Card";

const SHOWN = 20;

/** Show nothing if nobody has edited the run. */
export function RunHistory({ run }: { run: Run }) {
  const request = { team: run.team, project: run.project, subject: run.id, page_size: SHOWN };
  // These values differ after an edit, so the list is loaded again.
  const said = [run.name, run.notes, run.group, run.tags].join("\n");
  const { data } = useQuery(
    `changes ${JSON.stringify(request)} ${said}`,
    (signal) => call("ListChanges", request, signal),
    0,
    true,
  );
  const changes = data?.changes.filter((item) => item.what === "run") ?? [];
  if (!changes.length) return null;
  return (
    <Card title="Edits">
      <table class="values">
        <tbody>
          {changes.map((item, index) => (
            <tr key={index}>
              <th scope="row" title={formatTime(item.time)}>
                {item.user}, {formatAgo(item.time)}
              </th>
              <td>{wordsOf(item)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {data!.next_page_token && (
        <p class="quiet">Older edits are not shown here. The method ListChanges returns all of them.</p>
      )}
    </Card>
  );
}

function wordsOf(change: Change): string {
  return Object.entries(change.change ?? {})
    .map(([name, value]) => `${NAMES[name] ?? name} ${text(value)}`.trim())
    .join("; ");
}

const NAMES: Record<string, string> = {
  add_tags: "tags +",
  remove_tags: "tags −",
  tags: "tags",
  deleted: "deleted",
  remove_config: "config −",
  remove_summary: "summary −",
};

function text(value: JsonValue): string {
  if (value === true) return "";
  if (Array.isArray(value)) return value.map(formatValue).join(", ") || "none";
  if (value && typeof value === "object")
    return Object.entries(value)
      .map(([key, item]) => `${key} = ${formatValue(item)}`)
      .join(", ");
  return formatValue(value) || "none";
}
