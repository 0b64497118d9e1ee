// A table of many runs and columns. Only visible cells are rendered. The head and the names stay in place while it
// scrolls.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Run } from "../api/contract";
import { visibleItems, visibleRows } from "../lib/virtualList";
import { ColorMenu } from "../project/ColorMenu";
import { path } from "../state/route";
import { Icon } from "../ui/Icon";
import { RunStateBadge } from "../ui/RunStateBadge";
import { flattenedValues, type RunColumn } from "./runColumns";

const ROW_HEIGHT = 32;
const NAME_WIDTH = 280;

export interface GridProps {
  runs: readonly Run[];
  total: number;
  columns: readonly RunColumn[];
  colors: ReadonlyMap<string, string>;
  order: string;
  setOrder: (order: string) => void;
  checked: ReadonlySet<string>;
  onCheck: (run: string, checked: boolean, extendRange: boolean) => void;
  shownRuns: ReadonlySet<string>;
  onShow: (run: string, shownRuns: boolean, index: number) => void;
  loadMore: () => void;
}

export function RunGrid(props: GridProps) {
  const { runs, columns } = props;
  const area = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, left: 0, width: 1200, height: 800 });
  useLayoutEffect(() => {
    const element = area.current!;
    let isScheduled = false;
    const measure = () => {
      isScheduled = false;
      setView({
        top: element.scrollTop,
        left: element.scrollLeft,
        width: element.clientWidth,
        height: element.clientHeight,
      });
    };
    const scheduleMeasure = () => {
      if (!isScheduled) requestAnimationFrame(measure);
      isScheduled = true;
    };
    const observer = new ResizeObserver(scheduleMeasure);
    observer.observe(element);
    element.addEventListener("scroll", scheduleMeasure, { passive: true });
    measure();
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", scheduleMeasure);
    };
  }, []);
  const rowRange = visibleRows(runs.length, ROW_HEIGHT, view.top, view.height);
  const widths = useMemo(() => columns.map((column) => column.width), [columns]);
  const columnRange = visibleItems(widths, view.left, view.width - NAME_WIDTH);
  // biome-ignore lint/correctness/useExhaustiveDependencies: only a new end of the list loads more
  useEffect(() => {
    if (rowRange.to >= runs.length - 30) props.loadMore();
  }, [rowRange.to, runs.length]);
  const shownColumns = columns.slice(columnRange.from, columnRange.to);
  const width = NAME_WIDTH + widths.reduce((sum, item) => sum + item, 0);
  return (
    <div class="grid-area" ref={area} tabIndex={0} role="region" aria-label="Table of runs">
      <table
        class="runs-table"
        style={{ width: `${width}px` }}
        aria-rowcount={props.total + 1}
        aria-colcount={columns.length + 1}
      >
        <colgroup>
          <col style={{ width: `${NAME_WIDTH}px` }} />
          {columnRange.before > 0 && <col style={{ width: `${columnRange.before}px` }} />}
          {shownColumns.map((column) => (
            <col key={column.field} style={{ width: `${column.width}px` }} />
          ))}
          {columnRange.after > 0 && <col style={{ width: `${columnRange.after}px` }} />}
        </colgroup>
        <thead>
          <tr aria-rowindex={1}>
            <HeaderCell field="name" title="Name" {...props} first />
            {columnRange.before > 0 && <td />}
            {shownColumns.map((column) => (
              <HeaderCell key={column.field} {...column} {...props} />
            ))}
            {columnRange.after > 0 && <td />}
          </tr>
        </thead>
        <tbody>
          {rowRange.before > 0 && (
            <tr aria-hidden="true">
              <td style={{ height: `${rowRange.before}px` }} />
            </tr>
          )}
          {runs.slice(rowRange.from, rowRange.to).map((run, i) => (
            <RunRow
              key={run.id}
              run={run}
              index={rowRange.from + i}
              visible={shownColumns}
              before={columnRange.before > 0}
              after={columnRange.after > 0}
              {...props}
            />
          ))}
          {rowRange.after > 0 && (
            <tr aria-hidden="true">
              <td style={{ height: `${rowRange.after}px` }} />
            </tr>
          )}
        </tbody>
      </table>
    </div>
  );
}

function HeaderCell(props: {
  field: string;
  title: string;
  numeric?: boolean;
  first?: boolean;
  order: string;
  setOrder: (order: string) => void;
}) {
  const { field, order } = props;
  const direction =
    order === `-${field}` ? "descending" : order === field || order === `+${field}` ? "ascending" : undefined;
  const next = direction === "descending" ? `+${field}` : direction === "ascending" ? "" : `-${field}`;
  return (
    <th scope="col" class={`${props.first ? "first" : ""} ${props.numeric ? "right" : ""}`} aria-sort={direction}>
      <button class="sort clip" onClick={() => props.setOrder(next)} title={`Sort by ${field}`}>
        <span class="clip">{props.title}</span>
        {direction && <Icon name={direction === "descending" ? "down" : "up"} size={12} />}
      </button>
    </th>
  );
}

function RunRow(
  props: GridProps & { run: Run; index: number; visible: readonly RunColumn[]; before: boolean; after: boolean },
) {
  const { run, index } = props;
  const values = useMemo(() => flattenedValues(run), [run]);
  const shownRuns = props.shownRuns.has(run.id);
  const checked = props.checked.has(run.id);
  return (
    <tr aria-rowindex={index + 2} class={checked ? "chosen" : ""}>
      <th scope="row" class="first">
        <div class="name-cell">
          <input
            type="checkbox"
            checked={checked}
            aria-label={`Select ${run.name}`}
            onClick={(event) => props.onCheck(run.id, event.currentTarget.checked, event.shiftKey)}
          />
          <button
            class="icon-button small"
            role="switch"
            aria-checked={shownRuns}
            aria-label={`Show ${run.name} in charts`}
            title="Show in charts"
            onClick={() => props.onShow(run.id, !shownRuns, index)}
          >
            <Icon name={shownRuns ? "eye" : "closed"} size={14} />
          </button>
          <ColorMenu run={run} color={props.colors.get(run.id)} />
          <RunStateBadge state={run.state} bare />
          <a class="clip" href={path(run.team, run.project, "runs", run.id)} title={run.name}>
            {run.name}
          </a>
        </div>
      </th>
      {props.before && <td />}
      {props.visible.map((column) => {
        if (column.field === "tags")
          return (
            <td key={column.field} class="clip">
              <Tags tags={run.tags} />
            </td>
          );
        const text = column.text(run, values);
        return (
          <td
            key={column.field}
            class={column.numeric ? "right numeric clip" : "clip"}
            title={text.length > 12 ? text : undefined}
          >
            {text}
          </td>
        );
      })}
      {props.after && <td />}
    </tr>
  );
}

function Tags({ tags }: { tags: readonly string[] }) {
  return (
    <span class="tags one-line" title={tags.join(", ")}>
      {tags.map((tag) => (
        <span class="tag" key={tag}>
          {tag}
        </span>
      ))}
    </span>
  );
}
