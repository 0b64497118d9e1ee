// The changes of a sweep: who did what, and when.
import { call } from "../api/client";
import type { Sweep } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { formatAgo, formatTime } from "../lib/format";
import { Card } from "../ui/Card";

export function SweepHistory({ sweep }: { sweep: Sweep }) {
  const { data } = useQuery(
    `changes of ${sweep.id} ${sweep.state}`,
    (signal) => call("ListSweepChanges", { sweep: sweep.id, page_size: 20 }, signal),
    0,
    true,
  );
  if (!data?.changes.length) return null;
  return (
    <Card title="History" wide>
      <ul class="history">
        {data.changes.map((change, index) => (
          <li key={index}>
            <span class="quiet" title={formatTime(change.time)}>
              {formatAgo(change.time)}
            </span>{" "}
            <b>{change.action}</b> by {change.author}
            {change.detail && <span class="quiet">: {change.detail}</span>}
          </li>
        ))}
      </ul>
    </Card>
  );
}
