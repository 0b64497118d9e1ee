// All runs of a project in a table: filter, sort, group, choose columns, act on many.
import { useMemo, useRef, useState } from "preact/hooks";
import { call } from "../api/client";
import { useQuery } from "../api/useQuery";
import { TagDialog } from "../edit/EditDialogs";
import { count } from "../lib/format";
import { queryToText, withChanges } from "../lib/urlQuery";
import { deleteRuns, isBeingDeleted } from "../project/deletion";
import { FirstRun } from "../project/FirstRun";
import { ProjectFrame, type ProjectProps } from "../project/ProjectFrame";
import { useRunColors } from "../project/runColors";
import { readRunQuery, toRequest } from "../project/runQuery";
import { selectShownRuns, setRunShown } from "../project/runSelection";
import { ViewsMenu } from "../saved/ViewsMenu";
import { editProps } from "../state/permissions";
import { navigate, path, route, setQuery } from "../state/route";
import { useShortcut } from "../state/shortcuts";
import { ColumnChooser } from "../table/ColumnChooser";
import { FilterBar } from "../table/FilterBar";
import { RunGrid } from "../table/RunGrid";
import { RunGroups } from "../table/RunGroups";
import { defaultColumns, RUN_FIELD_NAMES, toRunColumn } from "../table/runColumns";
import { useRunPages } from "../table/useRunPages";
import { EmptyState, ErrorMessage, Loading } from "../ui/feedback";
import { Icon } from "../ui/Icon";
import "../styles/table.css";

const NO_COLUMNS = "-";
const MAX_COMPARED = 20;
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

export default function RunsTablePage({ team, project }: ProjectProps) {
  const { query } = route.value;
  const runQuery = useMemo(() => readRunQuery(query), [query]);
  const { search, conditions, filter, order, by } = runQuery;
  const fields = useQuery(
    `fields ${team}/${project}`,
    (signal) => call("ListFields", { team, project, page_size: 10_000 }, signal),
    15_000,
    true,
  );
  const chosenColumns = query.getAll("col");
  // biome-ignore lint/correctness/useExhaustiveDependencies: the text stands for the array
  const columnNames = useMemo(
    () =>
      chosenColumns.length
        ? chosenColumns.filter((name) => name !== NO_COLUMNS)
        : defaultColumns(fields.data?.fields ?? []),
    [chosenColumns.join("\n"), fields.data],
  );
  const columns = useMemo(() => columnNames.map(toRunColumn), [columnNames]);
  const valueFields = columnNames.filter((name) => /^(config|summary)\./.test(name));
  const pages = useRunPages({
    team,
    project,
    ...toRequest(runQuery),
    fields: valueFields.length ? valueFields : ["none"],
  });
  const runs = pages.runs.filter((run) => !isBeingDeleted(run));
  const shown = selectShownRuns(runs, query);
  const colors = useRunColors(shown);
  const [checked, setChecked] = useState<ReadonlySet<string>>(new Set());
  const lastChecked = useRef<string | null>(null);
  const [isChoosingColumns, setChoosingColumns] = useState(false);
  const [isTagging, setIsTagging] = useState(false);
  useShortcut("/", "Search runs", focusSearch);

  const check = (run: string, isChecked: boolean, extendRange: boolean) => {
    const ids = runs.map((item) => item.id);
    const range =
      extendRange && lastChecked.current
        ? [ids.indexOf(lastChecked.current), ids.indexOf(run)].sort((a, b) => a - b)
        : null;
    const nextChecked = new Set(checked);
    for (const id of range ? ids.slice(range[0]!, range[1]! + 1) : [run])
      isChecked ? nextChecked.add(id) : nextChecked.delete(id);
    lastChecked.current = run;
    setChecked(nextChecked);
  };
  const runsUrl = (view: string[]) =>
    path(team, project, ...view) +
    queryToText(withChanges(new URLSearchParams(), { run: checkedRuns.map((run) => run.id) }));
  const checkedRuns = runs.filter((run) => checked.has(run.id));
  const isEmpty = !pages.waiting && !runs.length && !pages.error;
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
          fields={[...FILTER_FIELDS, ...(fields.data?.fields.map((item) => item.field) ?? [])]}
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
            .filter((item) => item.field.startsWith("config."))
            .slice(0, 300)
            .map((item) => (
              <option key={item.field} value={item.field}>
                By {item.field}
              </option>
            ))}
        </select>
        <button class="button plain" onClick={() => setChoosingColumns(true)}>
          <Icon name="columns" /> Columns
        </button>
        <span class="grow" />
        {checkedRuns.length > 0 && (
          <>
            <span class="quiet">{checkedRuns.length} chosen</span>
            <button
              class="button"
              disabled={checkedRuns.length < 2 || checkedRuns.length > MAX_COMPARED}
              onClick={() => navigate(runsUrl(["compare"]))}
            >
              Compare
            </button>
            <button class="button" onClick={() => navigate(runsUrl([]))}>
              Chart
            </button>
            <button class="button" {...editProps(team)} onClick={() => setIsTagging(true)}>
              <Icon name="tag" size={14} /> Tag
            </button>
            <button
              class="button danger"
              {...editProps(team)}
              onClick={() => {
                deleteRuns(team, project, checkedRuns);
                setChecked(new Set());
              }}
            >
              <Icon name="trash" size={14} /> Delete
            </button>
            <button class="link" onClick={() => setChecked(new Set())}>
              None
            </button>
          </>
        )}
        <span class="quiet numeric">{count(pages.total, "run")}</span>
      </div>
      {by && !pages.error ? (
        <RunGroups
          team={team}
          project={project}
          by={by}
          filter={filter}
          search={search}
          columns={columnNames}
          conditions={conditions}
        />
      ) : pages.error ? (
        <ErrorMessage error={pages.error} retry={pages.refresh} />
      ) : pages.waiting && !runs.length ? (
        <Loading />
      ) : isEmpty && !search && !filter ? (
        <FirstRun project={project} />
      ) : isEmpty ? (
        <EmptyState title="No run matches">
          <p>No run of this project has all that.</p>
          <p class="row">
            <button class="button" onClick={() => setQuery({ find: null, f: null })}>
              Clear search and filters
            </button>
          </p>
        </EmptyState>
      ) : (
        <RunGrid
          runs={runs}
          total={pages.total}
          columns={columns}
          colors={colors}
          order={order}
          setOrder={(newOrder) => setQuery({ sort: newOrder }, false)}
          checked={checked}
          onCheck={check}
          shownRuns={new Set(shown.map((run) => run.id))}
          onShow={setRunShown}
          loadMore={pages.loadMore}
        />
      )}
      {isTagging && checkedRuns.length > 0 && (
        <TagDialog runs={checkedRuns} changed={pages.refresh} close={() => setIsTagging(false)} />
      )}
      {isChoosingColumns && (
        <ColumnChooser
          fields={[...RUN_FIELD_NAMES, ...(fields.data?.fields.map((item) => item.field) ?? [])]}
          chosen={columnNames}
          set={(nextChecked) => setQuery({ col: nextChecked && (nextChecked.length ? nextChecked : [NO_COLUMNS]) })}
          close={() => setChoosingColumns(false)}
        />
      )}
    </ProjectFrame>
  );
}
