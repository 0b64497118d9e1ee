// The Pareto front of runs by two metrics: no other run is better in both.
import { useMemo } from "preact/hooks";
import { call } from "../api/client";
import type { RunObjective } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { count, formatNumber, toNumber } from "../lib/format";
import { path } from "../state/route";
import { Loading } from "../ui/feedback";
import { shadesByRank } from "./colorRamp";
import { paretoSteps } from "./paretoLine";
import { type PlotRows, toPlotColumn } from "./plotColumns";
import { ScatterPlot } from "./ScatterPlot";

const MAX_LAYERS = 20;
const MAX_LISTED = 20;

/** `enabled`: whether there are runs to compare. */
export function ParetoFront({
  team,
  project,
  filter,
  objectives,
  enabled,
}: {
  team: string;
  project: string;
  filter: string;
  objectives: RunObjective[];
  enabled: boolean;
}) {
  const request = { team, project, filter, objectives, layers: MAX_LAYERS };
  const { data, error } = useQuery(
    enabled ? `front ${JSON.stringify(request)}` : null,
    (signal) => call("GetParetoFront", request, signal),
    0,
    true,
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: the answer is new for other objectives
  const plot = useMemo(() => {
    const runs = data?.runs ?? [];
    const rows: PlotRows = {
      ids: runs.map((item) => item.run),
      names: runs.map((item) => item.name),
      links: runs.map((item) => path(team, project, "runs", item.run)),
      columns: [],
    };
    const [x, y] = objectives.map((objective, index) =>
      toPlotColumn(
        `${index}`,
        objective.metric,
        runs.map((item) => toNumber(item.values[index])),
      ),
    );
    const front = runs.filter((item) => item.layer === 1);
    const points = front.map((item) => [toNumber(item.values[0]), toNumber(item.values[1])] as const);
    const maximizeX = objectives[0]!.goal === "GOAL_MAXIMIZE";
    return {
      rows,
      x: x!,
      y: y!,
      front,
      line: paretoSteps(points, maximizeX),
      shades: shadesByRank(x, !maximizeX, runs.length),
      selected: new Uint8Array(runs.length).fill(1),
      ringed: new Set(runs.flatMap((item, index) => (item.layer === 1 ? [index] : []))),
    };
  }, [data]);
  if (error && !data) return <p class="quiet">{error.message}.</p>;
  if (!data) return <Loading small />;
  if (!data.runs.length) return <p class="quiet">No run has both metrics.</p>;
  return (
    <div class="pair">
      <ScatterPlot
        rows={plot.rows}
        x={plot.x}
        y={plot.y}
        logX={false}
        logY={false}
        shades={plot.shades}
        selected={plot.selected}
        ringed={plot.ringed}
        line={plot.line}
        label="Pareto front"
      />
      <div>
        <p class="quiet">
          {count(plot.front.length, "run")} on the front of {data.compared}; {data.left_out} lack one of the metrics.
          The plot shows the best {MAX_LAYERS} layers
          {Number(data.found) > data.runs.length &&
            `, the first ${data.runs.length.toLocaleString("en-US")} of their ${Number(data.found).toLocaleString("en-US")} runs`}
          .
        </p>
        <div class="scrolled">
          <table class="plain-table dense">
            <thead>
              <tr>
                <th scope="col">Run</th>
                {objectives.map((item) => (
                  <th key={item.metric} scope="col" class="right">
                    {item.metric}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {plot.front.slice(0, MAX_LISTED).map((item) => (
                <tr key={item.run}>
                  <td>
                    <a href={path(team, project, "runs", item.run)}>{item.name}</a>
                  </td>
                  {item.values.map((value, index) => (
                    <td key={index} class="right numeric">
                      {formatNumber(toNumber(value))}
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
