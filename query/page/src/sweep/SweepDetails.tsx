// One sweep: its progress, its best trials, which parameters matter, and all trials. It is loaded again and again while
// trials run.
import { useEffect, useMemo } from "preact/hooks";
import { call } from "../api/client";
import type { Sweep } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { readNumber } from "../lib/urlQuery";
import { path, route } from "../state/route";
import { Card } from "../ui/Card";
import { CopyButton } from "../ui/CopyButton";
import { EmptyState, ErrorMessage, Loading } from "../ui/feedback";
import { StartAgent, sweepPath } from "./GettingStarted";
import { SweepControls } from "./SweepControls";
import { SweepHistory } from "./SweepHistory";
import { SweepProgress } from "./SweepProgress";
import { SweepResults } from "./SweepResults";
import { SweepStateBadge, totalCount } from "./stateBadges";

const LIVE_MS = 2500;
const IDLE_MS = 15_000;

export function SweepDetails({ team, project, id }: { team: string; project: string; id: string }) {
  const k = readNumber(route.value.query.get("k"), 10, 1, 100);
  const sweep = useQuery(`sweep ${id}`, (signal) => call("GetSweep", { sweep: id }, signal), IDLE_MS, false);
  const busy = isBusy(sweep.data);
  const summary = useQuery(
    `sweep summary ${id} ${k}`,
    (signal) => call("GetSweepSummary", { sweep: id, top: k }, signal),
    busy ? LIVE_MS : IDLE_MS,
    true,
  );
  const currentSweep = useMemo(
    () =>
      sweep.data && {
        ...sweep.data,
        ...(summary.data?.sweep?.id === id
          ? { ...summary.data.sweep, definition_json: sweep.data.definition_json }
          : {}),
      },
    [sweep.data, summary.data, id],
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: the title and the refresh depend on nothing else
  useEffect(() => {
    document.title = `${currentSweep?.name || id} · ${project} · runstream`;
    if (currentSweep && sweep.data && currentSweep.state !== sweep.data.state) sweep.refresh();
  }, [currentSweep?.name, currentSweep?.state, id]);
  const refresh = () => {
    sweep.refresh();
    summary.refresh();
  };
  const error = sweep.error ?? summary.error;
  if (
    error?.code === "NOT_FOUND" ||
    (currentSweep && (currentSweep.team !== team || currentSweep.project !== project))
  ) {
    return (
      <EmptyState title="Sweep not found">
        <p>
          There is no sweep <code>{id}</code> in {team}/{project}. It may have been deleted.
        </p>
        <p class="row">
          <a class="button" href={path(team, project, "sweeps")}>
            Go to the project's sweeps
          </a>
        </p>
      </EmptyState>
    );
  }
  if (error && (!currentSweep || !summary.data)) return <ErrorMessage error={error} retry={refresh} />;
  if (!currentSweep || summary.data?.sweep?.id !== id) return <Loading />;
  return (
    <div class="sweep">
      <header class="run-head">
        <h2 class="clip" title={currentSweep.name || currentSweep.id}>
          {currentSweep.name || `Sweep ${currentSweep.id}`}
        </h2>
        <SweepStateBadge state={currentSweep.state} idle={summary.data.agents === "0"} />
        <span class="quiet wide-only">
          {currentSweep.method}, by {currentSweep.created_by}
        </span>
        <CopyButton text={sweepPath(currentSweep)} label="Copy the sweep's path" />
        <span class="grow" />
        <SweepControls sweep={currentSweep} refresh={refresh} />
      </header>
      {currentSweep.description && <p class="sweep-description prose">{currentSweep.description}</p>}
      <div class="overview">
        <SweepProgress sweep={currentSweep} summary={summary.data} />
        {totalCount(currentSweep.counts) === 0 ? (
          <Card title="Start an agent" wide>
            <StartAgent sweep={currentSweep} />
          </Card>
        ) : (
          <SweepResults sweep={currentSweep} summary={summary.data} busy={busy} k={k} />
        )}
        <SweepHistory sweep={currentSweep} />
      </div>
    </div>
  );
}

function isBusy(sweep: Sweep | undefined): boolean {
  return sweep?.state === "SWEEP_STATE_RUNNING" || Number(sweep?.counts?.running ?? 0) > 0;
}
