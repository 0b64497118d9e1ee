// The overview of a run: its facts, config, summary, completeness, processes, environment.
import type { ComponentChildren } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { CompletenessVerdict, Json, Run } from "../api/contract";
import { RunHistory } from "../edit/RunHistory";
import { flatten } from "../lib/flatten";
import { count, formatAgo, formatDuration, formatTime, toNumber } from "../lib/format";
import { matcher } from "../lib/panels";
import { path } from "../state/route";
import { Card } from "../ui/Card";
import { Diff } from "../ui/Diff";
import { Icon } from "../ui/Icon";
import { LongValue } from "../ui/LongValue";
import { RunStateBadge } from "../ui/RunStateBadge";
import type { RunProps } from "./tabProps";

export function Overview({ run }: RunProps) {
  const { git_diff: diff, ...environment } = splitDiff(run.environment);
  return (
    <div class="overview">
      <div class="masonry">
        <Card title="Run">
          <dl class="facts">
            <Fact name="State">
              <RunStateBadge state={run.state} />
            </Fact>
            {run.notes && (
              <Fact name="Notes">
                <span class="prose">{run.notes}</span>
              </Fact>
            )}
            <Fact name="Started">
              {formatTime(run.created)} by {run.user}
            </Fact>
            <Fact name="Duration">{formatDuration(toNumber(run.duration_s))}</Fact>
            <Fact name="Last heartbeat">{formatAgo(run.heartbeat)}</Fact>
            {run.tags.length > 0 && (
              <Fact name="Tags">
                <span class="tags">
                  {run.tags.map((tag) => (
                    <span class="tag" key={tag}>
                      {tag}
                    </span>
                  ))}
                </span>
              </Fact>
            )}
            {run.group && <Fact name="Group">{run.group}</Fact>}
            {run.job_type && <Fact name="Job type">{run.job_type}</Fact>}
            {run.sweep_id && (
              <Fact name="Sweep">
                <a href={path(run.team, run.project, "sweeps", run.sweep_id)}>{run.sweep_id}</a>
              </Fact>
            )}
            <Fact name="Id">
              <code>{run.id}</code>
            </Fact>
          </dl>
        </Card>
        <CompletenessCard run={run} />
        <RunHistory run={run} />
        <ValueTable title="Config" values={run.config} none="This run has no config. Pass one to init(config=...)" />
        <ValueTable title="Summary" values={run.summary} none="Nothing has been logged yet" />
      </div>
      <ProcessTable run={run} />
      <ValueTable title="Environment" values={environment as Json} none="The environment was not recorded" wide />
      {diff && (
        <Card title="Uncommitted changes" wide>
          <Diff text={diff} label="git diff" />
        </Card>
      )}
    </div>
  );
}

function splitDiff(environment: Json | undefined): Json & { git_diff?: string } {
  const { git_diff, diff, ...rest } = environment ?? {};
  const text = [git_diff, diff].find((value) => typeof value === "string" && value);
  return text ? { ...rest, git_diff: text as string } : (rest as Json);
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

const MAX_SHOWN = 100;

function ValueTable(props: { title: string; values: Json | undefined; none: string; wide?: boolean }) {
  const rows = useMemo(() => [...flatten(props.values)], [props.values]);
  const [search, setSearch] = useState("");
  const [all, setAll] = useState(false);
  const test = matcher(search);
  const found = rows.filter(([key]) => test(key));
  const tools = rows.length > 12 && (
    <div class="field">
      <Icon name="search" size={14} />
      <input
        type="search"
        placeholder={`Search ${rows.length} keys`}
        aria-label={`Search ${props.title}`}
        value={search}
        onInput={(event) => setSearch(event.currentTarget.value)}
      />
    </div>
  );
  return (
    <Card title={props.title} wide={props.wide ?? false} tools={tools}>
      {!rows.length ? (
        <p class="quiet">{props.none}.</p>
      ) : (
        <table class="values">
          <tbody>
            {found.slice(0, all ? undefined : MAX_SHOWN).map(([key, value]) => (
              <tr key={key}>
                <th scope="row">{key}</th>
                <td class={typeof value === "number" ? "numeric" : ""}>
                  <LongValue value={value} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {found.length > MAX_SHOWN && !all && (
        <button class="link" onClick={() => setAll(true)}>
          Show all {found.length}
        </button>
      )}
    </Card>
  );
}

const VERDICTS: Record<CompletenessVerdict, [string, string, string]> = {
  VERDICT_UNSPECIFIED: ["Unknown", "quiet", ""],
  VERDICT_COMPLETE: ["Complete", "good", "Everything that was logged is stored."],
  VERDICT_INCOMPLETE: ["Incomplete", "bad", "Every process has finished, but records are missing."],
  VERDICT_DAMAGED: ["Damaged", "bad", "Stored data is missing, has changed, or cannot be read."],
  VERDICT_OPEN: ["Open", "warn", "At least one process has not finished and may still send data."],
};

function CompletenessCard({ run }: { run: Run }) {
  const found = run.completeness;
  if (!found) return null;
  const [name, kind, meaning] = VERDICTS[found.verdict];
  const rows: [string, string][] = [
    ["Logged", found.points_logged],
    ["Received", found.points_received],
    ["Stored", found.points_stored],
    ["Rejected", found.points_rejected],
    ["Dropped by the SDK", found.points_dropped],
  ];
  return (
    <Card title="Completeness">
      <p>
        <span class={`state ${kind}`}>
          <i aria-hidden="true" />
          {name}
        </span>
      </p>
      <p class="quiet">{meaning}</p>
      {found.findings.slice(0, 20).map((finding) => (
        <p key={finding}>{finding}</p>
      ))}
      {found.computed_by ? (
        <p class="quiet">
          {count(Number(found.rows_counted), "row")} of points were counted,{" "}
          {Number(found.rows_proved).toLocaleString("en-US")} of them were verified by their digests.{" "}
          {count(Number(found.documents_counted), "row")} of other data were counted,{" "}
          {Number(found.documents_proved).toLocaleString("en-US")} of them were verified. Computed at {found.computed}{" "}
          by {found.computed_by}.
        </p>
      ) : null}
      <table class="values">
        <tbody>
          {rows
            .filter(([title, value]) => value !== "0" || title === "Stored")
            .map(([title, value]) => (
              <tr key={title}>
                <th scope="row">{title}</th>
                <td class="numeric">{count(Number(value), "point")}</td>
              </tr>
            ))}
          {found.missing.slice(0, 20).map((gap) => (
            <tr key={`${gap.writer_id} ${gap.first_record}`}>
              <th scope="row">Missing, rank {gap.rank}</th>
              <td class="numeric">
                records {gap.first_record} to {gap.last_record}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Card>
  );
}

const PROCESSES_SHOWN = 64;

function ProcessTable({ run }: { run: Run }) {
  const streams = run.streams ?? [];
  const lastSteps = new Map(run.last_steps.map((item) => [item.rank, item.step]));
  return (
    <Card title={`Processes (${streams.length})`} wide>
      <div class="scrolled">
        <table class="plain-table dense">
          <thead>
            <tr>
              <th scope="col" class="right">
                Rank
              </th>
              <th scope="col">State</th>
              <th scope="col">Host</th>
              <th scope="col" class="right">
                Last step
              </th>
              <th scope="col" class="right">
                Stored
              </th>
              <th scope="col" class="right">
                Last heartbeat
              </th>
            </tr>
          </thead>
          <tbody>
            {streams.slice(0, PROCESSES_SHOWN).map((stream) => (
              <tr key={stream.writer_id}>
                <td class="right numeric">{stream.rank}</td>
                <td>
                  <RunStateBadge state={stream.state} />
                </td>
                <td>{stream.host}</td>
                <td class="right numeric">{lastSteps.get(stream.rank) ?? "–"}</td>
                <td class="right numeric">{Number(stream.completeness?.points_stored ?? 0).toLocaleString("en-US")}</td>
                <td class="right numeric">{formatAgo(stream.heartbeat)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {streams.length > PROCESSES_SHOWN && <p class="quiet">and {streams.length - PROCESSES_SHOWN} more</p>}
    </Card>
  );
}
