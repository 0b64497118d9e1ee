// The importance of parameters: their share in the prediction of a random forest, and their correlation, as bars.

import { type ApiError, call } from "../api/client";
import type { ParameterImportance, RunObjective } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { count, formatNumber, toNumber } from "../lib/format";
import { Loading } from "../ui/feedback";

const LIVE_MS = 15_000;
const SHOWN = 20;
const MIN_RUNS = 4;

export interface ImportanceProps {
  team: string;
  project: string;
  /** The runs are those of a sweep, or those that match a filter of the API. */
  sweep?: string;
  filter?: string;
  objective: RunObjective;
  live: boolean;
  /**
   * Number of runs with a finite value of the metric; null if not known yet. With fewer than four nothing is
   * requested.
   */
  finiteRuns: number | null;
  /** Called with the key of a parameter that the user has clicked. */
  onSelect: (key: string) => void;
}

export function Importance({
  team,
  project,
  sweep = "",
  filter = "",
  objective,
  live,
  finiteRuns,
  onSelect,
}: ImportanceProps) {
  const request = { team, project, sweep_id: sweep, filter, objective };
  const { data, error } = useQuery(
    finiteRuns === null || finiteRuns < MIN_RUNS ? null : `importance ${JSON.stringify(request)}`,
    (signal) => call("GetImportance", request, signal),
    live ? LIVE_MS : 0,
    true,
  );
  if (finiteRuns !== null && finiteRuns < MIN_RUNS)
    return (
      <p class="quiet">
        Importance needs at least {MIN_RUNS} ended runs with a finite value of {objective.metric}. There{" "}
        {finiteRuns === 1 ? "is" : "are"} {finiteRuns || "none"}.
      </p>
    );
  if (error && !data) return <p class="quiet">{errorText(error)}</p>;
  if (!data) return <Loading small />;
  if (!data.parameters.length)
    return <p class="quiet">Every parameter has only one value, so there is nothing to compare.</p>;
  const score = toNumber(data.score);
  return (
    <>
      <div class="scrolled">
        <table class="importance">
          <thead>
            <tr>
              <th scope="col">Parameter</th>
              <th scope="col">Importance</th>
              <th
                scope="col"
                title="Spearman's rank correlation with the metric. At +1 the metric grows with the parameter."
              >
                Correlation
              </th>
            </tr>
          </thead>
          <tbody>
            {data.parameters.slice(0, SHOWN).map((item) => (
              <ParameterRow key={item.key} parameter={item} onSelect={onSelect} />
            ))}
          </tbody>
        </table>
      </div>
      <p class="quiet">
        Computed from {count(Number(data.runs), "run")}. A random forest{" "}
        {score < 0.1
          ? "predicts no better than the mean, so these shares say little"
          : `predicts unseen runs with R² ${formatNumber(score, 2)}`}
        .
      </p>
    </>
  );
}

function ParameterRow({ parameter, onSelect }: { parameter: ParameterImportance; onSelect: (key: string) => void }) {
  const share = Math.max(toNumber(parameter.importance), 0);
  const spread = toNumber(parameter.importance_std);
  const correlation = parameter.spearman === undefined ? NaN : toNumber(parameter.spearman);
  const half = Math.min(Math.abs(correlation), 1) * 50;
  return (
    <tr>
      <th scope="row">
        <button
          class="link clip"
          title={`${parameter.key}: show it against the metric`}
          onClick={() => onSelect(parameter.key)}
        >
          {parameter.key}
        </button>
      </th>
      <td>
        <span class="bar">
          <i style={{ width: `${Math.min(share, 1) * 100}%` }} />
        </span>
        <span class="numeric" title={`± ${formatNumber(spread * 100, 2)} %`}>
          {formatNumber(share * 100, 3)} %
        </span>
      </td>
      <td>
        <span class="bar middle">
          {!Number.isNaN(correlation) && (
            <i
              class={correlation < 0 ? "minus" : ""}
              style={{ width: `${half}%`, left: `${correlation < 0 ? 50 - half : 50}%` }}
            />
          )}
        </span>
        <span class="numeric">{Number.isNaN(correlation) ? "–" : formatNumber(correlation, 2)}</span>
      </td>
    </tr>
  );
}

function errorText(error: ApiError): string {
  const text = error.message.charAt(0).toUpperCase() + error.message.slice(1);
  return error.code === "NOT_FOUND" ? "No run has this metric yet." : `${text}.`;
}
