// The sweeps of a project: state, method, how far, the best.
import { useState } from "preact/hooks";
import { call } from "../api/client";
import type { Sweep } from "../api/contract";
import { useAnswer } from "../api/useQuery";
import { formatAgo, formatNumber } from "../lib/format";
import { path } from "../state/route";
import { ErrorNote, Loading } from "../ui/feedback";
import { FirstSweep } from "./GettingStarted";
import { endedOf, SweepStateMark, totalOf } from "./stateBadges";
import { valueOf } from "./trials";

const PAGE = 100;
const MOST = 1000;
/** Of the newest so many the best is asked for. */
const WITH_BEST = 25;
const EVERY_MS = 5000;

export function SweepList({ team, project }: { team: string; project: string }) {
  const [size, setSize] = useState(PAGE);
  const { data, error, refresh } = useAnswer(
    `sweeps ${team}/${project} ${size}`,
    (signal) => call("ListSweeps", { team, project, page_size: size }, signal),
    EVERY_MS,
    true,
  );
  const best = useBest(data?.sweeps ?? []);
  if (error && !data)
    return error.code === "NOT_FOUND" && /no project/.test(error.message) ? (
      <FirstSweep team={team} project={project} />
    ) : (
      <ErrorNote error={error} retry={refresh} />
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
                Made
              </th>
            </tr>
          </thead>
          <tbody>
            {data.sweeps.map((sweep) => (
              <Row key={sweep.id} sweep={sweep} best={best.get(sweep.id) ?? ""} />
            ))}
          </tbody>
        </table>
      </div>
      {data.next_page_token && size < MOST && (
        <button class="button plain" onClick={() => setSize(Math.min(size * 2, MOST))}>
          Older sweeps
        </button>
      )}
    </div>
  );
}

function Row({ sweep, best }: { sweep: Sweep; best: string }) {
  const ended = endedOf(sweep.counts);
  const size = Number(sweep.size);
  const share = Math.min(ended / Math.max(size, totalOf(sweep.counts), 1), 1);
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
        <SweepStateMark state={sweep.state} />
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

/** The best value of each, or how many are on its front; asked for again when more trials have ended. */
function useBest(sweeps: readonly Sweep[]): ReadonlyMap<string, string> {
  const wanted = sweeps
    .slice(0, WITH_BEST)
    .filter((sweep) => sweep.objectives.length && endedOf(sweep.counts) + Number(sweep.counts?.added ?? 0) > 0);
  const { data } = useAnswer(
    wanted.length ? `best ${wanted.map((sweep) => `${sweep.id}:${endedOf(sweep.counts)}`).join()}` : null,
    async (signal) => {
      const answers = await Promise.all(
        wanted.map((sweep) => call("GetBestTrials", { sweep: sweep.id }, signal).catch(() => ({ trials: [] }))),
      );
      return new Map(wanted.map((sweep, at) => [sweep.id, textOf(sweep, answers[at]!.trials)]));
    },
    0,
    true,
  );
  return data ?? new Map();
}

function textOf(sweep: Sweep, best: Parameters<typeof valueOf>[0][]): string {
  if (!best[0]) return "";
  return sweep.objectives.length > 1 ? `${best.length} on the front` : formatNumber(valueOf(best[0], 0));
}
