// The sweeps of a project: state, method, progress, best value.
import { useState } from "preact/hooks";
import { call } from "../api/client";
import type { Sweep } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { formatAgo, formatNumber } from "../lib/format";
import { path } from "../state/route";
import { ErrorMessage, Loading } from "../ui/feedback";
import { FirstSweep } from "./GettingStarted";
import { endedCount, SweepStateBadge, totalCount } from "./stateBadges";
import { objectiveValue } from "./trials";

const PAGE = 100;
const MAX_SWEEPS = 1000;
/** How many of the newest sweeps show their best value. */
const WITH_BEST = 25;
const REFRESH_MS = 5000;

export function SweepList({ team, project }: { team: string; project: string }) {
  const [size, setSize] = useState(PAGE);
  const { data, error, refresh } = useQuery(
    `sweeps ${team}/${project} ${size}`,
    (signal) => call("ListSweeps", { team, project, page_size: size }, signal),
    REFRESH_MS,
    true,
  );
  const best = useBestValues(data?.sweeps ?? []);
  if (error && !data)
    return error.code === "NOT_FOUND" && /no project/.test(error.message) ? (
      <FirstSweep team={team} project={project} />
    ) : (
      <ErrorMessage error={error} retry={refresh} />
    );
  if (!data) return <Loading />;
  if (!data.sweeps.length) return <FirstSweep team={team} project={project} />;
  return (
    <div class="overview">
      <div class="scrolled" tabIndex={0} role="region" aria-label="Sweeps">
        <table class="plain-table sweep-table">
          <thead>
            <tr>
              <th scope="col">Sweep</th>
              <th scope="col">State</th>
              <th scope="col" class="wide-only">
                Method
              </th>
              <th scope="col">Trials</th>
              <th scope="col" class="right wide-only">
                Failed
              </th>
              <th scope="col" class="right">
                Best
              </th>
              <th scope="col" class="right wide-only">
                Created
              </th>
            </tr>
          </thead>
          <tbody>
            {data.sweeps.map((sweep) => (
              <SweepRow key={sweep.id} sweep={sweep} best={best.get(sweep.id) ?? ""} />
            ))}
          </tbody>
        </table>
      </div>
      {data.next_page_token && size < MAX_SWEEPS && (
        <button class="button plain" onClick={() => setSize(Math.min(size * 2, MAX_SWEEPS))}>
          Older sweeps
        </button>
      )}
    </div>
  );
}

function SweepRow({ sweep, best }: { sweep: Sweep; best: string }) {
  const ended = endedCount(sweep.counts);
  const size = Number(sweep.size);
  const share = Math.min(ended / Math.max(size, totalCount(sweep.counts), 1), 1);
  const objective = sweep.objectives[0];
  return (
    <tr>
      <td>
        <a class="strong" href={path(sweep.team, sweep.project, "sweeps", sweep.id)}>
          {sweep.name || sweep.id}
        </a>
        {sweep.name && <span class="quiet id wide-only"> {sweep.id}</span>}
      </td>
      <td>
        <SweepStateBadge state={sweep.state} />
      </td>
      <td class="wide-only">{sweep.method}</td>
      <td class="numeric">
        <span class="progress small" aria-hidden="true">
          <i class="finished" style={{ width: `${share * 100}%` }} />
        </span>
        {ended.toLocaleString("en-US")}
        {size > 0 && ` of ${size.toLocaleString("en-US")}`}
      </td>
      <td class="right numeric wide-only">{Number(sweep.counts?.failed ?? 0) || "–"}</td>
      <td class="right numeric">
        {best || "–"} {best && objective && <span class="quiet">{objective.metric}</span>}
      </td>
      <td class="right numeric wide-only">{formatAgo(sweep.created)}</td>
    </tr>
  );
}

/**
 * Load the best value of each sweep, or the size of its Pareto front. It is loaded again when more trials have ended.
 */
function useBestValues(sweeps: readonly Sweep[]): ReadonlyMap<string, string> {
  const wanted = sweeps
    .slice(0, WITH_BEST)
    .filter((sweep) => sweep.objectives.length && endedCount(sweep.counts) + Number(sweep.counts?.added ?? 0) > 0);
  const { data } = useQuery(
    wanted.length ? `best ${wanted.map((sweep) => `${sweep.id}:${endedCount(sweep.counts)}`).join()}` : null,
    async (signal) => {
      const answers = await Promise.all(
        wanted.map((sweep) =>
          call("GetBestTrials", { sweep: sweep.id }, signal).catch(() => ({ trials: [], next_page_token: "" })),
        ),
      );
      return new Map(
        wanted.map((sweep, index) => {
          const page = answers[index]!;
          return [sweep.id, bestText(sweep, page.trials, page.next_page_token !== "")];
        }),
      );
    },
    0,
    true,
  );
  return data ?? new Map();
}

function bestText(sweep: Sweep, best: Parameters<typeof objectiveValue>[0][], more: boolean): string {
  if (!best[0]) return "";
  if (sweep.objectives.length > 1) return `${best.length}${more ? "+" : ""} on the front`;
  return formatNumber(objectiveValue(best[0], 0));
}
