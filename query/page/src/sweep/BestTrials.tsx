// The best configuration, and the best K trials.
import type { Objective, Sweep, Trial } from "../api/contract";
import { formatNumber, formatValue } from "../lib/format";
import { toYaml } from "../lib/yaml";
import { setQuery } from "../state/route";
import { Card } from "../ui/Card";
import { CodeBlock } from "../ui/CodeBlock";
import { CopyButton } from "../ui/CopyButton";
import { sweepPath } from "./GettingStarted";
import { objectiveValue, parametersOf } from "./trials";

const TOP_CHOICES = [5, 10, 20, 50, 100] as const;

export interface TrialsProps {
  sweep: Sweep;
  trials: readonly Trial[];
  /** The URL of a trial's run, or "" if it has none. */
  link: (trial: Trial) => string;
}

export function BestCard({ sweep, trials, link }: TrialsProps) {
  const best = trials[0];
  if (!best)
    return (
      <Card title="Best configuration">
        <p class="quiet">No trial has a value yet.</p>
      </Card>
    );
  const hasSeveralObjectives = sweep.objectives.length > 1;
  return (
    <Card
      title={hasSeveralObjectives ? "First trial of the front" : "Best configuration"}
      tools={<CopyButton text={toYaml(best.parameters_json)} label="Copy the configuration as YAML" />}
    >
      <p class="best-values">
        {sweep.objectives.map((objective, index) => (
          <span key={objective.metric}>
            <b class="numeric">{formatNumber(objectiveValue(best, index))}</b>{" "}
            <span class="quiet">{objective.metric}</span>
          </span>
        ))}
        <TrialLink trial={best} link={link} />
      </p>
      <CodeBlock text={toYaml(best.parameters_json)} label="best configuration" />
      <p class="quiet">
        In a shell: <code>runstream sweep best {sweepPath(sweep)} --yaml &gt; best.yaml</code>
      </p>
    </Card>
  );
}

/** `names`: the parameters to show. */
export function TopCard({
  sweep,
  trials,
  link,
  k,
  front,
  names,
}: TrialsProps & { k: number; front: ReadonlySet<string>; names: readonly string[] }) {
  const tools = (
    <select
      class="select"
      aria-label="How many of the best"
      value={k}
      onChange={(event) => setQuery({ k: event.currentTarget.value === "10" ? null : event.currentTarget.value })}
    >
      {TOP_CHOICES.map((item) => (
        <option key={item} value={item}>
          Top {item}
        </option>
      ))}
    </select>
  );
  const hasSeveralObjectives = sweep.objectives.length > 1;
  return (
    <Card title={hasSeveralObjectives ? "Pareto front, then the best" : `Top ${k}`} wide tools={tools}>
      {!trials.length ? (
        <p class="quiet">No trial has a value yet.</p>
      ) : (
        <div class="scrolled" tabIndex={0} role="region" aria-label="The best trials">
          <table class="plain-table dense top-table">
            <thead>
              <tr>
                <th scope="col">{hasSeveralObjectives ? "Trial, ● on the front" : "Trial"}</th>
                {sweep.objectives.map((item) => (
                  <th key={item.metric} scope="col" class="right">
                    {goalText(item)}
                  </th>
                ))}
                {names.map((name) => (
                  <th key={name} scope="col" class="right">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {trials.map((trial, place) => {
                const parameters = parametersOf(trial);
                return (
                  <tr key={trial.number}>
                    <th scope="row">
                      <span class="place numeric">
                        {hasSeveralObjectives ? (front.has(trial.number) ? "●" : "") : place + 1}
                      </span>
                      <TrialLink trial={trial} link={link} />
                    </th>
                    {sweep.objectives.map((item, index) => (
                      <td key={item.metric} class="right numeric strong">
                        {formatNumber(objectiveValue(trial, index))}
                      </td>
                    ))}
                    {names.map((name) => (
                      <td key={name} class="right numeric clip" title={formatValue(parameters.get(name))}>
                        {formatValue(parameters.get(name))}
                      </td>
                    ))}
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  );
}

function goalText(objective: Objective): string {
  return `${objective.metric} ${objective.maximize ? "↑" : "↓"}`;
}

function TrialLink({ trial, link }: { trial: Trial; link: (trial: Trial) => string }) {
  const address = link(trial);
  const name = `trial ${trial.number}`;
  return address ? <a href={address}>{name}</a> : <span>{name}</span>;
}
