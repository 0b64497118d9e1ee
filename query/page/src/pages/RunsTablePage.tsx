// All runs of a project in a table: filter, sort, group, choose columns, act on many.
import { useMemo, useRef, useState } from "preact/hooks";
import { call } from "../api/client";
import { useAnswer } from "../api/useQuery";
import { TagDialog } from "../edit/EditDialogs";
import { count } from "../lib/format";
import { toText, withChanges } from "../lib/urlQuery";
import { deleteRuns, isDoomed } from "../project/deletion";
import { FirstRun } from "../project/FirstRun";
import { ProjectFrame, type ProjectProps } from "../project/ProjectFrame";
import { useColors } from "../project/runColors";
import { questionOf, requestOf } from "../project/runQuery";
import { chosenRuns, switchRun } from "../project/runSelection";
import { ViewsMenu } from "../saved/ViewsMenu";
import { changing } from "../state/permissions";
import { go, path, place, setQuery } from "../state/route";
import { useShortcut } from "../state/shortcuts";
import { ColumnChooser } from "../table/ColumnChooser";
import { FilterBar } from "../table/FilterBar";
import { Grid } from "../table/RunGrid";
import { Groups } from "../table/RunGroups";
import { columnOf, firstColumns, PLAIN_FIELDS } from "../table/runColumns";
import { usePages } from "../table/useRunPages";
import { Empty, ErrorNote, Loading } from "../ui/feedback";
import { Icon } from "../ui/Icon";
import "../styles/table.css";

const NO_COLUMN = "-";
const MOST_COMPARED = 20;
const FILTER_FIELDS = [
  "state",
  "displayName",
  "tags",
  "user",
  "group",
  "jobType",
  "createdAt",
  "duration",
  "host",
  "notes",
];

const focusSearch = () => document.querySelector<HTMLInputElement>("#run-search")?.focus();

export default function RunsTable({ team, project }: ProjectProps) {
  const { query } = place.value;
  const question = useMemo(() => questionOf(query), [query]);
  const { search, conditions, filter, order, by } = question;
  const fields = useAnswer(
    `fields ${team}/${project}`,
    (signal) => call("ListFields", { team, project, page_size: 10_000 }, signal),
    15_000,
    true,
  );
  const given = query.getAll("col");
  const names = useMemo(
    () => (given.length ? given.filter((name) => name !== NO_COLUMN) : firstColumns(fields.data?.fields ?? [])),
    [given.join("\n"), fields.data],
  );
  const columns = useMemo(() => names.map(columnOf), [names]);
  const wanted = names.filter((name) => /^(config|summary)\./.test(name));
  const pages = usePages({ team, project, ...requestOf(question), fields: wanted.length ? wanted : ["none"] });
  const runs = pages.runs.filter((run) => !isDoomed(run));
  const shown = chosenRuns(runs, query);
  const colors = useColors(shown);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const last = useRef<string | null>(null);
  const [choosing, setChoosing] = useState(false);
  const [tagging, setTagging] = useState(false);
  useShortcut("/", "Search runs", focusSearch);

  const choose = (run: string, on: boolean, upTo: boolean) => {
    const ids = runs.map((one) => one.id);
    const range = upTo && last.current ? [ids.indexOf(last.current), ids.indexOf(run)].sort((a, b) => a - b) : null;
    const next = new Set(chosen);
    for (const id of range ? ids.slice(range[0]!, range[1]! + 1) : [run]) on ? next.add(id) : next.delete(id);
    last.current = run;
    setChosen(next);
  };
  const address = (view: string[]) =>
    path(team, project, ...view) + toText(withChanges(new URLSearchParams(), { run: picked.map((run) => run.id) }));
  const picked = runs.filter((run) => chosen.has(run.id));
  const nothing = !pages.waiting && !runs.length && !pages.error;
  return (
    <ProjectFrame team={team} project={project} tab="Runs">
      <div class="table-tools" role="toolbar" aria-label="Runs">
        <ViewsMenu team={team} project={project} kind="SAVED_KIND_TABLE" />
        <div class="field">
          <Icon name="search" size={14} />
          <input
            id="run-search"
            type="search"
            placeholder="Search runs"
            aria-label="Search runs"
            value={search}
            onInput={(event) => setQuery({ find: event.currentTarget.value })}
          />
        </div>
        <FilterBar
          conditions={conditions}
          fields={[...FILTER_FIELDS, ...(fields.data?.fields.map((one) => one.field) ?? [])]}
        />
        <select
          class="select"
          aria-label="Group by"
          value={by}
          onChange={(event) => setQuery({ group: event.currentTarget.value }, false)}
        >
          <option value="">Not grouped</option>
          {["state", "group", "user", "jobType", "tags"].map((name) => (
            <option key={name} value={name}>
              By {name}
            </option>
          ))}
          {fields.data?.fields
            .filter((one) => one.field.startsWith("config."))
            .slice(0, 300)
            .map((one) => (
              <option key={one.field} value={one.field}>
                By {one.field}
              </option>
            ))}
        </select>
        <button class="button plain" onClick={() => setChoosing(true)}>
          <Icon name="columns" /> Columns
        </button>
        <span class="grow" />
        {picked.length > 0 && (
          <>
            <span class="quiet">{picked.length} chosen</span>
            <button
              class="button"
              disabled={picked.length < 2 || picked.length > MOST_COMPARED}
              onClick={() => go(address(["compare"]))}
            >
              Compare
            </button>
            <button class="button" onClick={() => go(address([]))}>
              Chart
            </button>
            <button class="button" {...changing(team)} onClick={() => setTagging(true)}>
              <Icon name="tag" size={14} /> Tag
            </button>
            <button
              class="button danger"
              {...changing(team)}
              onClick={() => {
                deleteRuns(team, project, picked);
                setChosen(new Set());
              }}
            >
              <Icon name="trash" size={14} /> Delete
            </button>
            <button class="link" onClick={() => setChosen(new Set())}>
              None
            </button>
          </>
        )}
        <span class="quiet numeric">{count(pages.total, "run")}</span>
      </div>
      {by && !pages.error ? (
        <Groups
          team={team}
          project={project}
          by={by}
          filter={filter}
          search={search}
          columns={names}
          conditions={conditions}
        />
      ) : pages.error ? (
        <ErrorNote error={pages.error} retry={pages.refresh} />
      ) : pages.waiting && !runs.length ? (
        <Loading />
      ) : nothing && !search && !filter ? (
        <FirstRun project={project} />
      ) : nothing ? (
        <Empty title="No run matches">
          <p>No run of this project has all that.</p>
          <p class="row">
            <button class="button" onClick={() => setQuery({ find: null, f: null })}>
              Clear search and filters
            </button>
          </p>
        </Empty>
      ) : (
        <Grid
          runs={runs}
          total={pages.total}
          columns={columns}
          colors={colors}
          order={order}
          setOrder={(next) => setQuery({ sort: next }, false)}
          chosen={chosen}
          choose={choose}
          shown={new Set(shown.map((run) => run.id))}
          show={switchRun}
          more={pages.more}
        />
      )}
      {tagging && picked.length > 0 && (
        <TagDialog runs={picked} changed={pages.refresh} close={() => setTagging(false)} />
      )}
      {choosing && (
        <ColumnChooser
          fields={[...PLAIN_FIELDS, ...(fields.data?.fields.map((one) => one.field) ?? [])]}
          chosen={names}
          set={(next) => setQuery({ col: next && (next.length ? next : [NO_COLUMN]) })}
          close={() => setChoosing(false)}
        />
      )}
    </ProjectFrame>
  );
}
