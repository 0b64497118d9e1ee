// The output of a run's processes: the newest at the bottom, live. Scrolling up loads older lines.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { type ApiError, call } from "../api/client";
import type { ConsoleRow, GetConsoleRequest } from "../api/contract";
import { parseAnsi } from "../lib/ansi";
import { count } from "../lib/format";
import { visibleRows } from "../lib/virtualList";
import { route, setQuery } from "../state/route";
import { EmptyState, ErrorMessage, Loading } from "../ui/feedback";
import { Icon } from "../ui/Icon";
import type { RunProps } from "./tabProps";
import "../styles/console.css";

const LINE_HEIGHT = 18;
const PAGE = 1000;
/** Lines in memory. The oldest are dropped when more arrive. */
const MAX_LINES = 100_000;
const LIVE_MS = 1500;

interface ConsoleState {
  key: string;
  rows: ConsoleRow[];
  /** Token of older lines; "" at the beginning of the output. */
  older: string;
  matching: number;
  error?: ApiError;
}

export default function Console({ run }: RunProps) {
  const { query } = route.value;
  const search = query.get("grep") ?? "";
  const output = query.get("out") ?? "";
  const rank = query.get("rank") ?? "";
  const regex = query.get("re") === "1";
  const request: Partial<GetConsoleRequest> = {
    team: run.team,
    project: run.project,
    run: run.id,
    ranks: rank === "" ? [] : [Number(rank)],
    output,
    search,
    regex,
    page_size: PAGE,
  };
  const [lines, older] = useConsole(request, run.state === "RUN_STATE_RUNNING");
  const ranks = [...new Set((run.streams ?? []).map((stream) => stream.rank))].sort((a, b) => a - b);
  return (
    <div class="console">
      <div class="table-tools" role="toolbar" aria-label="Console">
        <div class="field">
          <Icon name="search" size={14} />
          <input
            type="search"
            placeholder="Search lines"
            aria-label="Search lines"
            value={search}
            onInput={(event) => setQuery({ grep: event.currentTarget.value })}
          />
        </div>
        <button
          class="toggle"
          aria-pressed={regex}
          onClick={() => setQuery({ re: !regex })}
          title="The search is a regular expression (RE2)"
        >
          .*
        </button>
        <select
          class="select"
          aria-label="Output"
          value={output}
          onChange={(event) => setQuery({ out: event.currentTarget.value })}
        >
          <option value="">Both outputs</option>
          <option>stdout</option>
          <option>stderr</option>
        </select>
        {ranks.length > 1 && (
          <select
            class="select"
            aria-label="Rank"
            value={rank}
            onChange={(event) => setQuery({ rank: event.currentTarget.value })}
          >
            <option value="">All ranks</option>
            {ranks.map((item) => (
              <option key={item} value={item}>
                Rank {item}
              </option>
            ))}
          </select>
        )}
        <span class="grow" />
        {lines && <span class="quiet numeric">{count(Math.max(lines.matching, lines.rows.length), "line")}</span>}
      </div>
      {!lines ? (
        <Loading />
      ) : lines.error && !lines.rows.length ? (
        <ErrorMessage error={lines.error} />
      ) : !lines.rows.length ? (
        <EmptyState title={search || output || rank ? "No line matches" : "No output yet"}>
          <p>
            {search || output || rank
              ? "Change the search or the filters."
              : "The output of the run appears here live. RUNSTREAM_CONSOLE=off disables this."}
          </p>
        </EmptyState>
      ) : (
        <ConsoleLines lines={lines} older={older} ranked={ranks.length > 1 && rank === ""} />
      )}
    </div>
  );
}

function useConsole(request: Partial<GetConsoleRequest>, live: boolean): [ConsoleState | undefined, () => void] {
  const key = JSON.stringify(request);
  const [state, setState] = useState<ConsoleState>({ key: "", rows: [], older: "", matching: 0 });
  const latest = useRef(state);
  latest.current = state;
  const busy = useRef(false);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `key` stands for the request
  useEffect(() => {
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const loadNewest = async () => {
      try {
        const answer = await call("GetConsole", request, controller.signal);
        setState({ key, rows: answer.lines, older: answer.next_page_token, matching: Number(answer.matching) });
      } catch (error) {
        if (!controller.signal.aborted) setState({ key, rows: [], older: "", matching: 0, error: error as ApiError });
      }
      if (live && !controller.signal.aborted) timer = setTimeout(loadTail, LIVE_MS);
    };
    const loadTail = async () => {
      try {
        const last = latest.current.key === key ? latest.current.rows.at(-1)?.place : undefined;
        if (!last) return await loadNewest();
        if (document.visibilityState !== "hidden") {
          const answer = await call("GetConsole", { ...request, forward: true, from_line: last }, controller.signal);
          if (answer.lines.length)
            setState((before) => ({
              ...before,
              rows: [...before.rows, ...answer.lines].slice(-MAX_LINES),
              matching: before.matching + answer.lines.length,
            }));
        }
      } catch {
        // The top bar says that the server cannot be reached.
      }
      if (!controller.signal.aborted) timer = setTimeout(loadTail, LIVE_MS);
    };
    void loadNewest();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [key, live]);
  const older = () => {
    if (busy.current || !latest.current.older || latest.current.rows.length >= MAX_LINES) return;
    busy.current = true;
    call("GetConsole", { ...request, page_token: latest.current.older })
      .then((answer) =>
        setState((before) =>
          before.key === key
            ? { ...before, rows: [...answer.lines, ...before.rows], older: answer.next_page_token }
            : before,
        ),
      )
      .catch(() => undefined) // scrolling loads them again
      .finally(() => (busy.current = false));
  };
  return [state.key === key ? state : undefined, older];
}

/** The lines. Only visible ones are rendered. The view stays at the end while the end is visible. */
function ConsoleLines({ lines, older, ranked }: { lines: ConsoleState; older: () => void; ranked: boolean }) {
  const area = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const atEnd = useRef(true);
  const first = useRef<string | undefined>(undefined);
  useLayoutEffect(() => {
    const element = area.current!;
    const addedOnTop = lines.rows.findIndex((row) => row.place === first.current);
    if (atEnd.current) element.scrollTop = element.scrollHeight;
    // Older lines were added above: the visible lines stay in place.
    else if (addedOnTop > 0) element.scrollTop += addedOnTop * LINE_HEIGHT;
    first.current = lines.rows[0]?.place;
    setView({ top: element.scrollTop, height: element.clientHeight });
  }, [lines.rows]);
  const onScroll = () => {
    const element = area.current!;
    atEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < LINE_HEIGHT * 2;
    if (element.scrollTop < 40 * LINE_HEIGHT) older();
    setView({ top: element.scrollTop, height: element.clientHeight });
  };
  const visible = visibleRows(lines.rows.length, LINE_HEIGHT, view.top, view.height);
  return (
    <div class="paper" ref={area} onScroll={onScroll} tabIndex={0} role="log" aria-label="Console" aria-live="off">
      <div style={{ height: `${visible.before}px` }} />
      {lines.rows.slice(visible.from, visible.to).map((row) => (
        <div
          class={row.output === "stderr" ? "line stderr" : "line"}
          key={row.place}
          title={`${row.output}, rank ${row.rank}, ${new Date(Number(row.time_us) / 1000).toLocaleString()}`}
        >
          {ranked && <span class="rank">{row.rank}</span>}
          {parseAnsi(row.text).map((piece, i) =>
            piece.classes ? (
              <span key={i} class={piece.classes}>
                {piece.text}
              </span>
            ) : (
              piece.text
            ),
          )}
        </div>
      ))}
      <div style={{ height: `${visible.after}px` }} />
    </div>
  );
}
