// The tooltip of a run or trial in a plot: its name and its values.
import { formatNumber } from "../lib/format";
import { cellText, type PlotColumn, type PlotRows } from "./plotColumns";

export function PointTooltip(props: {
  rows: PlotRows;
  axes: readonly PlotColumn[];
  row: number;
  x: number;
  y: number;
  width: number;
}) {
  const { rows, row, x } = props;
  const side = x > props.width / 2 ? { right: `${props.width - x + 14}px` } : { left: `${x + 14}px` };
  return (
    <div class="tip" style={{ ...side, top: `${Math.max(props.y - 20, 0)}px` }}>
      <p class="clip">{rows.names[row]}</p>
      <table>
        <tbody>
          {props.axes.slice(0, 14).map((axis) => (
            <tr key={axis.field}>
              <td class="clip">{axis.title}</td>
              <td class="numeric clip">{cellText(axis, row, formatNumber)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
