// A table of any number of runs and columns of which only what is seen is made. Its own scroll area; head and name stay.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Run } from "../api/contract";
import { rowsOf, windowOf } from "../lib/virtualList";
import { ColorMenu } from "../project/ColorMenu";
import { path } from "../state/route";
import { Icon } from "../ui/Icon";
import { RunStateBadge } from "../ui/RunStateBadge";
import { type Column, valuesOf } from "./runColumns";

const ROW = 32;
const NAME = 280;

export interface GridProps {
  runs: readonly Run[];
  total: number;
  columns: readonly Column[];
  colors: ReadonlyMap<string, string>;
  order: string;
  setOrder: (order: string) => void;
  chosen: ReadonlySet<string>;
  choose: (run: string, chosen: boolean, upTo: boolean) => void;
  shown: ReadonlySet<string>;
  show: (run: string, shown: boolean, at: number) => void;
  more: () => void;
}

export function Grid(props: GridProps) {
  const { runs, columns } = props;
  const area = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, left: 0, width: 1200, height: 800 });
  useLayoutEffect(() => {
    const element = area.current!;
    let due = false;
    const look = () => {
      due = false;
      setView({
        top: element.scrollTop,
        left: element.scrollLeft,
        width: element.clientWidth,
        height: element.clientHeight,
      });
    };
    const soon = () => {
      if (!due) requestAnimationFrame(look);
      due = true;
    };
    const resized = new ResizeObserver(soon);
    resized.observe(element);
    element.addEventListener("scroll", soon, { passive: true });
    look();
    return () => {
      resized.disconnect();
      element.removeEventListener("scroll", soon);
    };
  }, []);
  const rows = rowsOf(runs.length, ROW, view.top, view.height);
  const widths = useMemo(() => columns.map((column) => column.width), [columns]);
  const part = windowOf(widths, view.left, view.width - NAME);
  useEffect(() => {
    if (rows.to >= runs.length - 30) props.more();
  }, [rows.to, runs.length]);
  const visible = columns.slice(part.from, part.to);
  const width = NAME + widths.reduce((sum, one) => sum + one, 0);
  return (
    <div class="grid-area" ref={area} tabIndex={0} role="region" aria-label="Table of runs">
      <table
        class="runs-table"
        style={{ width: `${width}px` }}
        aria-rowcount={props.total + 1}
        aria-colcount={columns.length + 1}
      >
        <colgroup>
          <col style={{ width: `${NAME}px` }} />
          {part.before > 0 && <col style={{ width: `${part.before}px` }} />}
          {visible.map((column) => (
            <col key={column.field} style={{ width: `${column.width}px` }} />
          ))}
          {part.after > 0 && <col style={{ width: `${part.after}px` }} />}
        </colgroup>
        <thead>
          <tr aria-rowindex={1}>
            <Head field="name" title="Name" {...props} first />
            {part.before > 0 && <td />}
            {visible.map((column) => (
              <Head key={column.field} {...column} {...props} />
            ))}
            {part.after > 0 && <td />}
          </tr>
        </thead>
        <tbody>
          {rows.before > 0 && (
            <tr aria-hidden="true">
              <td style={{ height: `${rows.before}px` }} />
            </tr>
          )}
          {runs.slice(rows.from, rows.to).map((run, i) => (
            <Row
              key={run.id}
              run={run}
              at={rows.from + i}
              visible={visible}
              before={part.before > 0}
              after={part.after > 0}
              {...props}
            />
          ))}
          {rows.after > 0 && (
            <tr aria-hidden="true">
              <td style={{ height: `${rows.after}px` }} />
            </tr>
          )}
        </tbody>
      </table>
    </div>
  );
}

function Head(props: {
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

function Row(props: GridProps & { run: Run; at: number; visible: readonly Column[]; before: boolean; after: boolean }) {
  const { run, at } = props;
  const values = useMemo(() => valuesOf(run), [run]);
  const shown = props.shown.has(run.id);
  const chosen = props.chosen.has(run.id);
  return (
    <tr aria-rowindex={at + 2} class={chosen ? "chosen" : ""}>
      <th scope="row" class="first">
        <div class="name-cell">
          <input
            type="checkbox"
            checked={chosen}
            aria-label={`Choose ${run.name}`}
            onClick={(event) => props.choose(run.id, event.currentTarget.checked, event.shiftKey)}
          />
          <button
            class="icon-button small"
            role="switch"
            aria-checked={shown}
            aria-label={`Show ${run.name} in charts`}
            title="Show in charts"
            onClick={() => props.show(run.id, !shown, at)}
          >
            <Icon name={shown ? "eye" : "closed"} size={14} />
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
