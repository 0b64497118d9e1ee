// Logged tables, page by page, sorted by the server; plots that are tables drawn in some way.
import { useState } from "preact/hooks";
import { call } from "../api/client";
import type { Json, JsonValue } from "../api/contract";
import { useAnswer } from "../api/useQuery";
import { count, formatValue } from "../lib/format";
import { path, place, setQuery } from "../state/route";
import { ErrorNote, Loading } from "../ui/feedback";
import { Icon } from "../ui/Icon";
import { Select } from "../ui/Select";
import { StepSlider } from "../ui/StepSlider";
import { Plot } from "./Plot";
import type { RunTabProps } from "./tabProps";
import "../styles/rich.css";

const PAGE = 100;

export default function Tables({ run, keys }: RunTabProps) {
  const { query } = place.value;
  const own = keys.filter((key) => key.kind === "KEY_KIND_TABLE" || key.kind === "KEY_KIND_PLOT");
  const key = own.find((one) => one.name === query.get("key")) ?? own[0]!;
  const at = query.get("at");
  const asTable = key.kind === "KEY_KIND_TABLE" || query.get("rows") === "1";
  const options = Object.fromEntries(own.map((one) => [one.name, one.name]));
  const who = {
    team: run.team,
    project: run.project,
    run: run.id,
    key: key.name,
    ...(at === null ? {} : { step: at }),
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
      {asTable ? <Rows key={key.name} who={who} /> : <Plot key={key.name} who={who} />}
    </div>
  );
}

interface Who {
  team: string;
  project: string;
  run: string;
  key: string;
  step?: string;
}

function Rows({ who }: { who: Who }) {
  const [order, setOrder] = useState<{ column: string; descending: boolean } | null>(null);
  const [tokens, setTokens] = useState<string[]>([""]);
  const request = { ...who, order: order ? [order] : [], page_size: PAGE, page_token: tokens.at(-1)! };
  const { data, error, refresh } = useAnswer(
    `table ${JSON.stringify(request)}`,
    (signal) => call("GetTable", request, signal),
    0,
    true,
  );
  if (error && !data) return <ErrorNote error={error} retry={refresh} />;
  if (!data) return <Loading />;
  const rows = JSON.parse(data.rows_json || "[]") as JsonValue[][];
  const first = (tokens.length - 1) * PAGE;
  const sort = (column: string) => {
    setTokens([""]);
    setOrder(
      order?.column !== column ? { column, descending: true } : order.descending ? { column, descending: false } : null,
    );
  };
  return (
    <section class="info wide" aria-label={who.key}>
      <header>
        <StepSlider
          steps={data.steps.map(Number)}
          value={who.step === undefined ? null : Number(who.step)}
          set={(step) => setQuery({ at: step })}
        />
        <span class="grow" />
        <span class="quiet numeric">
          {rows.length ? `${first + 1} – ${first + rows.length} of ` : ""}
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
            {rows.map((row, at) => (
              <tr key={data.row_numbers[at]}>
                {row.map((cell, i) => (
                  <td key={i} class={data.columns[i]?.type === "number" ? "right numeric" : "cell"}>
                    <CellView cell={cell} who={who} />
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

function CellView({ cell, who }: { cell: JsonValue; who: Who }) {
  if (cell && typeof cell === "object" && !Array.isArray(cell) && cell["_type"] === "media")
    return <MediaCell media={cell} who={who} />;
  return <>{formatValue(cell)}</>;
}

function MediaCell({ media, who }: { media: Json; who: Who }) {
  const type = String(media["media_type"] ?? "");
  const source = `/api/v1/media${path(who.team, who.project, String(media["sha256"] ?? ""))}?type=${encodeURIComponent(type)}`;
  if (/^image\/(png|jpeg|gif|webp)$/.test(type))
    return <img class="thumbnail" src={source} alt={String(media["caption"] ?? "image")} loading="lazy" />;
  return (
    <a href={source} download>
      {String(media["caption"] || type || "file")}
    </a>
  );
}
