// Logged tables, page by page and sorted by the server, and plots that were logged as tables.
import { useState } from "preact/hooks";
import { call } from "../api/client";
import type { Json, JsonValue } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { count, formatValue } from "../lib/format";
import { path, route, setQuery } from "../state/route";
import { ErrorMessage, Loading } from "../ui/feedback";
import { Icon } from "../ui/Icon";
import { Select } from "../ui/Select";
import { StepSlider } from "../ui/StepSlider";
import { Plot } from "./Plot";
import type { RunTabProps } from "./tabProps";
import "../styles/rich.css";

const PAGE = 100;

export default function Tables({ run, keys }: RunTabProps) {
  const { query } = route.value;
  const tableKeys = keys.filter((key) => key.kind === "KEY_KIND_TABLE" || key.kind === "KEY_KIND_PLOT");
  const key = tableKeys.find((item) => item.name === query.get("key")) ?? tableKeys[0]!;
  const stepText = query.get("at");
  const asTable = key.kind === "KEY_KIND_TABLE" || query.get("rows") === "1";
  const options = Object.fromEntries(tableKeys.map((item) => [item.name, item.name]));
  const tableKey = {
    team: run.team,
    project: run.project,
    run: run.id,
    key: key.name,
    ...(stepText === null ? {} : { step: stepText }),
  };
  return (
    <div class="rich">
      <div class="table-tools">
        <Select
          label="Table"
          value={key.name}
          options={options}
          set={(name) => setQuery({ key: name, at: null }, false)}
        />
        {key.kind === "KEY_KIND_PLOT" && (
          <button class="toggle" aria-pressed={asTable} onClick={() => setQuery({ rows: !asTable })}>
            Rows
          </button>
        )}
      </div>
      {asTable ? <TableRows key={key.name} tableKey={tableKey} /> : <Plot key={key.name} plotKey={tableKey} />}
    </div>
  );
}

interface TableKey {
  team: string;
  project: string;
  run: string;
  key: string;
  step?: string;
}

function TableRows({ tableKey }: { tableKey: TableKey }) {
  const [order, setOrder] = useState<{ column: string; descending: boolean } | null>(null);
  const [tokens, setTokens] = useState<string[]>([""]);
  const request = { ...tableKey, order: order ? [order] : [], page_size: PAGE, page_token: tokens.at(-1)! };
  const { data, error, refresh } = useQuery(
    `table ${JSON.stringify(request)}`,
    (signal) => call("GetTable", request, signal),
    0,
    true,
  );
  if (error && !data) return <ErrorMessage error={error} retry={refresh} />;
  if (!data) return <Loading />;
  const rows = JSON.parse(data.rows_json || "[]") as JsonValue[][];
  const firstRow = (tokens.length - 1) * PAGE;
  const sort = (column: string) => {
    setTokens([""]);
    setOrder(
      order?.column !== column ? { column, descending: true } : order.descending ? { column, descending: false } : null,
    );
  };
  return (
    <section class="info wide" aria-label={tableKey.key}>
      <header>
        <StepSlider
          steps={data.steps.map(Number)}
          value={tableKey.step === undefined ? null : Number(tableKey.step)}
          set={(step) => setQuery({ at: step })}
        />
        <span class="grow" />
        <span class="quiet numeric">
          {rows.length ? `${firstRow + 1} – ${firstRow + rows.length} of ` : ""}
          {count(data.matching_rows, "row")}
        </span>
        <button
          class="icon-button"
          disabled={tokens.length < 2}
          onClick={() => setTokens(tokens.slice(0, -1))}
          aria-label="Previous page"
        >
          <span class="flip">
            <Icon name="right" />
          </span>
        </button>
        <button
          class="icon-button"
          disabled={!data.next_page_token}
          onClick={() => setTokens([...tokens, data.next_page_token])}
          aria-label="Next page"
        >
          <Icon name="right" />
        </button>
      </header>
      <div class="scrolled" tabIndex={0} role="region" aria-label="Rows">
        <table class="plain-table dense">
          <thead>
            <tr>
              {data.columns.map((column) => (
                <th
                  key={column.name}
                  scope="col"
                  class={column.type === "number" ? "right" : ""}
                  aria-sort={
                    order?.column === column.name ? (order.descending ? "descending" : "ascending") : undefined
                  }
                >
                  <button class="sort" onClick={() => sort(column.name)} title={column.type}>
                    {column.name}
                    {order?.column === column.name && <Icon name={order.descending ? "down" : "up"} size={12} />}
                  </button>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row, index) => (
              <tr key={data.row_numbers[index]}>
                {row.map((cell, i) => (
                  <td key={i} class={data.columns[i]?.type === "number" ? "right numeric" : "cell"}>
                    <TableCell cell={cell} tableKey={tableKey} />
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function TableCell({ cell, tableKey }: { cell: JsonValue; tableKey: TableKey }) {
  if (cell && typeof cell === "object" && !Array.isArray(cell) && cell._type === "media")
    return <MediaCell media={cell} tableKey={tableKey} />;
  return <>{formatValue(cell)}</>;
}

function MediaCell({ media, tableKey }: { media: Json; tableKey: TableKey }) {
  const type = String(media.media_type ?? "");
  const file = path(tableKey.team, tableKey.project, String(media.sha256 ?? ""));
  const source = `/api/v1/media${file}?type=${encodeURIComponent(type)}`;
  if (/^image\/(png|jpeg|gif|webp)$/.test(type))
    return <img class="thumbnail" src={source} alt={String(media.caption ?? "image")} loading="lazy" />;
  return (
    <a href={source} download>
      {String(media.caption || type || "file")}
    </a>
  );
}
