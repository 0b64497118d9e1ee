// The table of a project's runs: filter, sort, group, choose columns, and act on several runs.
import { useMemo, useRef, useState } from "preact/hooks";
import { call } from "../api/client";
import type { FieldInfo, Run } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { TagDialog } from "../edit/EditDialogs";
import { count } from "../lib/format";
import { queryToText, withChanges } from "../lib/urlQuery";
import { deleteRuns, isBeingDeleted } from "../project/deletion";
import { FirstRun } from "../project/FirstRun";
import { NoRunMatches } from "../project/NoRunMatches";
import { ProjectFrame, type ProjectProps } from "../project/ProjectFrame";
import { RunSearch } from "../project/RunSearch";
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
import { ErrorMessage, Loading } from "../ui/feedback";
import { Icon } from "../ui/Icon";
import "../styles/table.css";

const NO_COLUMNS = "-";
const MAX_COMPARED = 20;
const MAX_GROUP_FIELDS = 300;
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
  const fields = useQuery(
    `fields ${team}/${project}`,
    (signal) => call("ListFields", { team, project, page_size: 10_000 }, signal),
    15_000,
    true,
  );
  const columnNames = useColumnNames(fields.data?.fields);
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
  const selection = useCheckedRuns(runs);
  const [isChoosingColumns, setChoosingColumns] = useState(false);
  const [isTagging, setIsTagging] = useState(false);
  useShortcut("/", "Search runs", focusSearch);

  const { search, filter, by } = runQuery;
  const isEmpty = !pages.waiting && !runs.length && !pages.error;
  const fieldNames = fields.data?.fields.map((item) => item.field) ?? [];
  return (
    <ProjectFrame team={team} project={project} tab="Runs">
      <div class="table-tools" role="toolbar" aria-label="Runs">
        <ViewsMenu team={team} project={project} kind="SAVED_KIND_TABLE" />
        <RunSearch id="run-search" value={search} />
        <FilterBar conditions={runQuery.conditions} fields={[...FILTER_FIELDS, ...fieldNames]} />
        <GroupBySelect by={by} fields={fieldNames} />
        <button class="button plain" onClick={() => setChoosingColumns(true)}>
          <Icon name="columns" /> Columns
        </button>
        <span class="grow" />
        {selection.runs.length > 0 && (
          <CheckedRunsActions team={team} project={project} selection={selection} onTag={() => setIsTagging(true)} />
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
          conditions={runQuery.conditions}
        />
      ) : pages.error ? (
        <ErrorMessage error={pages.error} retry={pages.refresh} />
      ) : pages.waiting && !runs.length ? (
        <Loading />
      ) : isEmpty && !search && !filter ? (
        <FirstRun project={project} />
      ) : isEmpty ? (
        <NoRunMatches />
      ) : (
        <RunGrid
          runs={runs}
          total={pages.total}
          columns={columns}
          colors={colors}
          order={runQuery.order}
          setOrder={(order) => setQuery({ sort: order }, false)}
          checked={selection.checked}
          onCheck={selection.check}
          shownRuns={new Set(shown.map((run) => run.id))}
          onShow={setRunShown}
          loadMore={pages.loadMore}
        />
      )}
      {isTagging && selection.runs.length > 0 && (
        <TagDialog runs={selection.runs} changed={pages.refresh} close={() => setIsTagging(false)} />
      )}
      {isChoosingColumns && (
        <ColumnChooser
          fields={[...RUN_FIELD_NAMES, ...fieldNames]}
          chosen={columnNames}
          set={(names) => setQuery({ col: names && (names.length ? names : [NO_COLUMNS]) })}
          close={() => setChoosingColumns(false)}
        />
      )}
    </ProjectFrame>
  );
}

/** Return the columns that the URL names, or else the default columns. */
function useColumnNames(fields: readonly FieldInfo[] | undefined): string[] {
  const chosen = route.value.query.getAll("col");
  // biome-ignore lint/correctness/useExhaustiveDependencies: the text stands for the array
  return useMemo(
    () => (chosen.length ? chosen.filter((name) => name !== NO_COLUMNS) : defaultColumns(fields ?? [])),
    [chosen.join("\n"), fields],
  );
}

interface CheckedRuns {
  checked: ReadonlySet<string>;
  /** The checked runs that are loaded. */
  runs: Run[];
  check: (run: string, isChecked: boolean, extendRange: boolean) => void;
  clear: () => void;
}

function useCheckedRuns(runs: readonly Run[]): CheckedRuns {
  const [checked, setChecked] = useState<ReadonlySet<string>>(new Set());
  const lastChecked = useRef<string | null>(null);
  const check = (run: string, isChecked: boolean, extendRange: boolean) => {
    const ids = runs.map((item) => item.id);
    const range =
      extendRange && lastChecked.current
        ? [ids.indexOf(lastChecked.current), ids.indexOf(run)].sort((a, b) => a - b)
        : null;
    const next = new Set(checked);
    for (const id of range ? ids.slice(range[0]!, range[1]! + 1) : [run]) isChecked ? next.add(id) : next.delete(id);
    lastChecked.current = run;
    setChecked(next);
  };
  return {
    checked,
    runs: runs.filter((run) => checked.has(run.id)),
    check,
    clear: () => setChecked(new Set()),
  };
}

function CheckedRunsActions(props: { team: string; project: string; selection: CheckedRuns; onTag: () => void }) {
  const { team, project, selection } = props;
  const { runs } = selection;
  const runsUrl = (view: string[]) =>
    path(team, project, ...view) + queryToText(withChanges(new URLSearchParams(), { run: runs.map((run) => run.id) }));
  return (
    <>
      <span class="quiet">{runs.length} selected</span>
      <button
        class="button"
        disabled={runs.length < 2 || runs.length > MAX_COMPARED}
        onClick={() => navigate(runsUrl(["compare"]))}
      >
        Compare
      </button>
      <button class="button" onClick={() => navigate(runsUrl([]))}>
        Chart
      </button>
      <button class="button" {...editProps(team)} onClick={props.onTag}>
        <Icon name="tag" size={14} /> Tag
      </button>
      <button
        class="button danger"
        {...editProps(team)}
        onClick={() => {
          deleteRuns(team, project, runs);
          selection.clear();
        }}
      >
        <Icon name="trash" size={14} /> Delete
      </button>
      <button class="link" onClick={selection.clear}>
        None
      </button>
    </>
  );
}

function GroupBySelect({ by, fields }: { by: string; fields: readonly string[] }) {
  const config = fields.filter((field) => field.startsWith("config.")).slice(0, MAX_GROUP_FIELDS);
  return (
    <select
      class="select"
      aria-label="Group by"
      value={by}
      onChange={(event) => setQuery({ group: event.currentTarget.value }, false)}
    >
      <option value="">Not grouped</option>
      {["state", "group", "user", "jobType", "tags", ...config].map((name) => (
        <option key={name} value={name}>
          By {name}
        </option>
      ))}
    </select>
  );
}
