// The alerts of a run, the newest first.
import { call } from "../api/client";
import type { AlertItem } from "../api/contract";
import { useNewestFirst } from "../api/useNewestFirst";
import { formatAgo, formatTime } from "../lib/format";
import { route, setQuery } from "../state/route";
import { EmptyState, ErrorMessage, Loading } from "../ui/feedback";
import { Select } from "../ui/Select";
import type { RunProps } from "./tabProps";
import "../styles/rich.css";

const LIVE_MS = 2000;
const PAGE = 100;
const LEVEL_OPTIONS = { "": "All levels", error: "Errors", warn: "Warnings", info: "Notes" };
const LEVEL_STYLES: Record<string, [string, string]> = {
  error: ["error", "bad"],
  warn: ["warning", "warn"],
  info: ["note", "good"],
};

export default function Alerts({ run }: RunProps) {
  const level = Object.hasOwn(LEVEL_OPTIONS, route.value.query.get("level") ?? "")
    ? (route.value.query.get("level") ?? "")
    : "";
  const request = { team: run.team, project: run.project, run: run.id, levels: level ? [level] : [], page_size: PAGE };
  const { items, error, loadOlder } = useNewestFirst<AlertItem>(
    JSON.stringify(request),
    async (page_token, signal) => {
      const answer = await call("ListAlerts", { ...request, page_token }, signal);
      return { items: answer.alerts, next: answer.next_page_token };
    },
    (alert) => `${alert.writer_id} ${alert.number}`,
    (a, b) => Number(b.time_us) - Number(a.time_us) || Number(b.number) - Number(a.number),
    run.state === "RUN_STATE_RUNNING" ? LIVE_MS : 0,
  );
  if (error && !items) return <ErrorMessage error={error} />;
  if (!items) return <Loading />;
  return (
    <div class="rich">
      <div class="table-tools">
        <Select label="Level" value={level} options={LEVEL_OPTIONS} set={(next) => setQuery({ level: next })} />
      </div>
      {!items.length ? (
        <EmptyState title={level ? "No alerts of this level" : "No alerts"}>
          <p>
            Send one from your training code: <code>run.alert("loss is NaN", level="ERROR")</code>.
          </p>
        </EmptyState>
      ) : (
        <ol class="alerts" aria-label="Alerts">
          {items.map((alert) => (
            <Alert key={`${alert.writer_id} ${alert.number}`} alert={alert} ranked={run.world_size > 1} />
          ))}
        </ol>
      )}
      {loadOlder && (
        <p>
          <button class="button plain" onClick={loadOlder}>
            Show older alerts
          </button>
        </p>
      )}
    </div>
  );
}

function Alert({ alert, ranked }: { alert: AlertItem; ranked: boolean }) {
  const [name, kind] = LEVEL_STYLES[alert.level] ?? [alert.level, "quiet"];
  const time = new Date(Number(alert.time_us) / 1000).toISOString();
  return (
    <li class={`info wide alert ${kind}`}>
      <header>
        <span class={`state ${kind}`}>
          <i aria-hidden="true" />
          {name}
        </span>
        <h2>{alert.title}</h2>
        <span class="grow" />
        {ranked && <span class="quiet">rank {alert.rank}</span>}
        <time class="quiet numeric" dateTime={time} title={formatTime(time)}>
          {formatAgo(time)}
        </time>
      </header>
      {alert.text && <p class="prose">{alert.text}</p>}
    </li>
  );
}
