// The runs that none is better than in both of two metrics.
import { useMemo } from "preact/hooks";
import { call } from "../api/client";
import type { RunObjective } from "../api/contract";
import { useAnswer } from "../api/useQuery";
import { count, formatNumber, number } from "../lib/format";
import { path } from "../state/route";
import { Loading } from "../ui/feedback";
import { shadesOf } from "./colorRamp";
import { stairs } from "./paretoLine";
import { columnOf, type Rows } from "./plotColumns";
import { Scatter } from "./ScatterPlot";

const LAYERS = 20;
const LISTED = 20;

/** `ask`: there are runs to ask for. */
export function Front({
  team,
  project,
  filter,
  objectives,
  ask,
}: {
  team: string;
  project: string;
  filter: string;
  objectives: RunObjective[];
  ask: boolean;
}) {
  const request = { team, project, filter, objectives, layers: LAYERS };
  const { data, error } = useAnswer(
    ask ? `front ${JSON.stringify(request)}` : null,
    (signal) => call("GetParetoFront", request, signal),
    0,
    true,
  );
  const made = useMemo(() => {
    const runs = data?.runs ?? [];
    const rows: Rows = {
      ids: runs.map((one) => one.run),
      names: runs.map((one) => one.name),
      links: runs.map((one) => path(team, project, "runs", one.run)),
      columns: [],
    };
    const [x, y] = objectives.map((objective, at) =>
      columnOf(
        `${at}`,
        objective.metric,
        runs.map((one) => number(one.values[at])),
      ),
    );
    const front = runs.filter((one) => one.layer === 1);
    const points = front.map((one) => [number(one.values[0]), number(one.values[1])] as const);
    const maximizeX = objectives[0]!.goal === "GOAL_MAXIMIZE";
    return {
      rows,
      x: x!,
      y: y!,
      front,
      line: stairs(points, maximizeX),
      shades: shadesOf(x, !maximizeX, runs.length),
      kept: new Uint8Array(runs.length).fill(1),
      strong: new Set(runs.flatMap((one, at) => (one.layer === 1 ? [at] : []))),
    };
  }, [data]);
  if (error && !data) return <p class="quiet">{error.message}.</p>;
  if (!data) return <Loading small />;
  if (!data.runs.length) return <p class="quiet">No run has both metrics.</p>;
  return (
    <div class="pair">
      <Scatter
        rows={made.rows}
        x={made.x}
        y={made.y}
        logX={false}
        logY={false}
        shades={made.shades}
        kept={made.kept}
        strong={made.strong}
        line={made.line}
        label="Pareto front"
      />
      <div>
        <p class="quiet">
          {count(made.front.length, "run")} on the front of {data.compared}; {data.left_out} miss one of the metrics.
          Shown: the best {LAYERS} layers.
        </p>
        <div class="scrolled">
          <table class="plain-table dense">
            <thead>
              <tr>
                <th scope="col">Run</th>
                {objectives.map((one) => (
                  <th key={one.metric} scope="col" class="right">
                    {one.metric}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {made.front.slice(0, LISTED).map((one) => (
                <tr key={one.run}>
                  <td>
                    <a href={path(team, project, "runs", one.run)}>{one.name}</a>
                  </td>
                  {one.values.map((value, at) => (
                    <td key={at} class="right numeric">
                      {formatNumber(number(value))}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </div>
    </div>
  );
}
