// Made by query/page/contract.py from proto/runstream/v1: do not edit.

export type Int64 = string;
export type Double = number | "NaN" | "Infinity" | "-Infinity";
export type JsonValue = null | boolean | number | string | JsonValue[] | { [key: string]: JsonValue };
export type Json = { [key: string]: JsonValue };

export interface Account {
  user: string;
  default_team: string;
  teams: Membership[];
  key_prefix: string;
}

export interface AddTrialsRequest {
  sweep: string;
  trials: KnownTrial[];
  request_id: string;
}

export interface AddTrialsResponse {
  numbers: Int64[];
}

export interface Agent {
  id: string;
  sweep: string;
  name: string;
  host: string;
  user: string;
  lease_s: Double;
  heartbeat_s: Double;
  state: AgentState;
  reason: string;
  running: Int64;
  finished: Int64;
  failed: Int64;
  created?: string;
  seen?: string;
}

export type AgentState = "AGENT_STATE_UNSPECIFIED" | "AGENT_STATE_ACTIVE" | "AGENT_STATE_STOPPED";

export type Aggregate =
  | "AGGREGATE_UNSPECIFIED"
  | "AGGREGATE_LAST"
  | "AGGREGATE_MIN"
  | "AGGREGATE_MAX"
  | "AGGREGATE_MEAN";

export interface AlertItem {
  run: string;
  rank: number;
  level: string;
  title: string;
  text: string;
  time_us: Int64;
  writer_id: string;
  number: Int64;
}

export interface ApiKey {
  prefix: string;
  name: string;
  default_team: string;
  created?: string;
  expires?: string;
  revoked?: string;
  made_by: string;
  state: ApiKeyState;
  current: boolean;
}

export type ApiKeyState = "STATE_UNSPECIFIED" | "STATE_VALID" | "STATE_EXPIRED" | "STATE_REVOKED";

export interface Axis {
  field: string;
  kind: AxisKind;
  min: Double;
  max: Double;
  categories: string[];
  values: Double[];
}

export type AxisKind =
  | "AXIS_KIND_UNSPECIFIED"
  | "AXIS_KIND_NUMBER"
  | "AXIS_KIND_LOG"
  | "AXIS_KIND_CATEGORY"
  | "AXIS_KIND_TIME";

export interface Change {
  what: string;
  subject: string;
  user: string;
  key_prefix: string;
  time?: string;
  change?: Json;
}

export interface ClassScore {
  name: string;
  actual: Double;
  predicted: Double;
  precision: Double;
  recall: Double;
  f1: Double;
}

export interface CommandSweepRequest {
  sweep: string;
  command: SweepCommand;
  reason: string;
}

export interface CompareRunsRequest {
  team: string;
  project: string;
  runs: string[];
  all: boolean;
}

export interface CompareRunsResponse {
  runs: string[];
  names: string[];
  metadata: Difference[];
  config: Difference[];
  summary: Difference[];
  environment: Difference[];
  packages: Difference[];
  variables: Difference[];
  git: Difference[];
  git_diffs: GitDiff[];
}

export interface Completeness {
  verdict: CompletenessVerdict;
  points_logged: Int64;
  points_received: Int64;
  points_stored: Int64;
  points_rejected: Int64;
  points_dropped: Int64;
  missing: RecordGap[];
  findings: string[];
  rows_counted: Int64;
  rows_proved: Int64;
  computed?: string;
  computed_by: string;
  documents_counted: Int64;
  documents_proved: Int64;
}

export type CompletenessVerdict =
  | "VERDICT_UNSPECIFIED"
  | "VERDICT_COMPLETE"
  | "VERDICT_INCOMPLETE"
  | "VERDICT_OPEN"
  | "VERDICT_DAMAGED";

export interface ConfusionMatrix {
  classes: string[];
  counts: Double[];
  total: Double;
  accuracy: Double;
  scores: ClassScore[];
}

export interface ConsoleRow {
  run: string;
  rank: number;
  output: string;
  writer_id: string;
  line: Int64;
  text: string;
  time_us: Int64;
  place: string;
}

export interface CountRowsRequest {
  team: string;
  project: string;
  runs: string[];
}

export interface CountRowsResponse {
  runs: RunRows[];
}

export interface CountRunsRequest {
  team: string;
  project: string;
  filter: string;
  search: string;
  by: string[];
  metrics: string[];
  limit: number;
}

export interface CountRunsResponse {
  groups: RunGroup[];
  group_count: Int64;
  total: Int64;
}

export interface CreateApiKeyRequest {
  name: string;
  default_team: string;
  lifetime_s: Double;
}

export interface CreateApiKeyResponse {
  key?: ApiKey;
  secret: string;
}

export interface CreateSavedRequest {
  team: string;
  project: string;
  kind: SavedKind;
  name: string;
  content: string;
  shared: boolean;
  id: string;
}

export interface CreateSweepRequest {
  team: string;
  project: string;
  definition_json: string;
  check_only: boolean;
  request_id: string;
}

export interface Curve {
  run: string;
  metric: string;
  rank: number;
  bucket_width: Int64;
  first_steps: Int64[];
  last_steps: Int64[];
  firsts: Double[];
  lasts: Double[];
  mins: Double[];
  maxs: Double[];
  means: Double[];
  counts: Int64[];
  not_finite: Int64[];
  first_times_us: Int64[];
  xs: Double[];
  smoothed: Double[];
  x_width: Double;
}

export interface DeleteMetricRequest {
  team: string;
  project: string;
  run: string;
  metric: string;
}

export interface DeleteProjectRequest {
  team: string;
  project: string;
}

export interface DeleteResponse {
  runs: Int64;
  media: Int64;
}

export interface DeleteRunsRequest {
  team: string;
  project: string;
  runs: string[];
}

export interface DeleteSavedRequest {
  team: string;
  project: string;
  id: string;
}

export interface DeleteSavedResponse {
}

export interface DeleteSweepRequest {
  sweep: string;
}

export interface DeleteSweepResponse {
  trials: Int64;
}

export interface Difference {
  key: string;
  values: JsonValue[];
  present: boolean[];
  change: DifferenceChange;
}

export type DifferenceChange =
  | "CHANGE_UNSPECIFIED"
  | "CHANGE_SAME"
  | "CHANGE_ADDED"
  | "CHANGE_REMOVED"
  | "CHANGE_CHANGED";

export interface EditedField {
  field: string;
  replaced_json: string;
}

export interface EndTrialRequest {
  agent: string;
  number: Int64;
  lease: string;
  outcome: EndTrialRequestOutcome;
  exit_code: number;
  message: string;
  run: string;
  values: Double[];
  cost?: Double;
}

export type EndTrialRequestOutcome =
  | "OUTCOME_UNSPECIFIED"
  | "OUTCOME_FINISHED"
  | "OUTCOME_FAILED"
  | "OUTCOME_PREEMPTED"
  | "OUTCOME_STOPPED"
  | "OUTCOME_GIVEN_BACK";

export interface EndTrialResponse {
  trial?: Trial;
  accepted: boolean;
  requeued: boolean;
  verdict: LeaseTrialsResponseVerdict;
  cause: StopCause;
  reason: string;
}

export interface ExportChunk {
  data: string;
}

export type ExportFormat =
  | "EXPORT_FORMAT_UNSPECIFIED"
  | "EXPORT_FORMAT_ARROW"
  | "EXPORT_FORMAT_PARQUET"
  | "EXPORT_FORMAT_CSV";

export interface ExportPointsRequest {
  team: string;
  project: string;
  runs: string[];
  filter: string;
  metrics: string[];
  ranks: number[];
  min_step?: Int64;
  max_step?: Int64;
  format: ExportFormat;
  with_epoch: boolean;
}

export interface ExportRowsRequest {
  team: string;
  project: string;
  runs: string[];
  filter: string;
  table: ExportTable;
  format: ExportFormat;
}

export type ExportTable =
  | "EXPORT_TABLE_UNSPECIFIED"
  | "EXPORT_TABLE_FIELDS"
  | "EXPORT_TABLE_STREAMS"
  | "EXPORT_TABLE_SERIES"
  | "EXPORT_TABLE_TEXTS"
  | "EXPORT_TABLE_HISTOGRAMS"
  | "EXPORT_TABLE_TABLES"
  | "EXPORT_TABLE_MEDIA"
  | "EXPORT_TABLE_FILES"
  | "EXPORT_TABLE_CONSOLE"
  | "EXPORT_TABLE_ALERTS"
  | "EXPORT_TABLE_CONTENTS";

export interface FieldChange {
  run: string;
  section: string;
  key: string;
  value_json: string;
  deleted: boolean;
}

export interface FieldInfo {
  field: string;
  runs: Int64;
  kinds: string[];
  metric: boolean;
  min?: Double;
  max?: Double;
}

export type FieldSection = "FIELD_SECTION_UNSPECIFIED" | "FIELD_SECTION_CONFIG" | "FIELD_SECTION_SUMMARY";

export interface FileItem {
  name: string;
  category: string;
  rank: number;
  media_type: string;
  sha256: string;
  size_bytes: Int64;
  path: string;
  time_us: Int64;
}

export interface FindNotFiniteRequest {
  team: string;
  project: string;
  run: string;
  metrics: string[];
}

export interface FindNotFiniteResponse {
  metrics: NotFinite[];
}

export interface FindStragglersRequest {
  team: string;
  project: string;
  run: string;
  metric: string;
  time_metric: string;
  window: number;
  limit: number;
}

export interface FindStragglersResponse {
  ranks: Straggler[];
  metric: string;
  newest_step: Int64;
  median_step_s: Double;
  all_ranks: number;
}

export interface GetAccountRequest {
}

export interface GetBestTrialsRequest {
  sweep: string;
  page_size: number;
  page_token: string;
}

export interface GetBestTrialsResponse {
  trials: Trial[];
  next_page_token: string;
}

export interface GetConsoleRequest {
  team: string;
  project: string;
  run: string;
  ranks: number[];
  output: string;
  writer_id: string;
  search: string;
  regex: boolean;
  match_case: boolean;
  forward: boolean;
  page_size: number;
  page_token: string;
  from_line: string;
}

export interface GetConsoleResponse {
  lines: ConsoleRow[];
  next_page_token: string;
  matching: Int64;
}

export interface GetCurvesRequest {
  team: string;
  project: string;
  runs: string[];
  metrics: string[];
  min_step?: Int64;
  max_step?: Int64;
  buckets: number;
  selection: RankSelection;
  rank: number;
  ranks: number[];
  x_axis: XAxis;
  x_metric: string;
  min_x?: Double;
  max_x?: Double;
  smoothing?: Smoothing;
  columns: string[];
}

export interface GetCurvesResponse {
  curves: Curve[];
}

export interface GetExtentRequest {
  team: string;
  project: string;
  run: string;
  metrics: string[];
}

export interface GetExtentResponse {
  ranks: RankExtent[];
}

export interface GetGroupCurvesRequest {
  team: string;
  project: string;
  runs: string[];
  metrics: string[];
  group_by: string[];
  min_step?: Int64;
  max_step?: Int64;
  buckets: number;
  smoothing?: Smoothing;
}

export interface GetGroupCurvesResponse {
  curves: GroupCurve[];
}

export interface GetHistogramsRequest {
  team: string;
  project: string;
  run: string;
  key: string;
  min_step?: Int64;
  max_step?: Int64;
  ranks: number[];
  each_rank: boolean;
  columns: number;
  bins: number;
  raw: boolean;
}

export interface GetHistogramsResponse {
  heat_maps: HeatMap[];
  histograms: Int64;
  steps: Int64[];
  unusable: Int64;
}

export interface GetHistoryRequest {
  team: string;
  project: string;
  run: string;
  metrics: string[];
  ranks: number[];
  min_step?: Int64;
  max_step?: Int64;
  page_size: number;
  page_token: string;
}

export interface GetHistoryResponse {
  series: Series[];
  next_page_token: string;
}

export interface GetImportanceRequest {
  team: string;
  project: string;
  filter: string;
  sweep_id: string;
  objective?: RunObjective;
  parameters: string[];
  seed: number;
}

export interface GetImportanceResponse {
  parameters: ParameterImportance[];
  score: Double;
  runs: Int64;
  left_out: Int64;
  constant: string[];
}

export interface GetParallelCoordinatesRequest {
  team: string;
  project: string;
  filter: string;
  search: string;
  axes: string[];
  order: string[];
  limit: number;
}

export interface GetParallelCoordinatesResponse {
  runs: string[];
  names: string[];
  axes: Axis[];
  total: Int64;
}

export interface GetParetoFrontRequest {
  team: string;
  project: string;
  filter: string;
  sweep_id: string;
  objectives: RunObjective[];
  layers: number;
}

export interface GetParetoFrontResponse {
  runs: ParetoRun[];
  compared: Int64;
  left_out: Int64;
  found: Int64;
}

export interface GetPlotRequest {
  team: string;
  project: string;
  run: string;
  key: string;
  step?: Int64;
  rank?: number;
}

export interface GetPlotResponse {
  type: string;
  title: string;
  fields: { [key: string]: string };
  series: PlotSeries[];
  bins?: PlotBins;
  confusion?: ConfusionMatrix;
  total_rows: number;
  thinned: boolean;
  step: Int64;
  rank: number;
  steps: Int64[];
  time_us: Int64;
}

export interface GetRankCurvesRequest {
  team: string;
  project: string;
  run: string;
  metrics: string[];
  min_step?: Int64;
  max_step?: Int64;
  buckets: number;
  ranks: number[];
  percentiles: boolean;
}

export interface GetRankCurvesResponse {
  curves: RankCurve[];
}

export interface GetRankMapRequest {
  team: string;
  project: string;
  run: string;
  metric: string;
  min_step?: Int64;
  max_step?: Int64;
  buckets: number;
  ranks: number[];
}

export interface GetRankMapResponse {
  bucket_width: Int64;
  steps: Int64[];
  ranks: number[];
  means: Double[];
  not_finite: number[];
  all_ranks: number;
}

export interface GetRunRequest {
  team: string;
  project: string;
  run: string;
  omit_completeness: boolean;
  large_values: boolean;
}

export interface GetSavedRequest {
  team: string;
  project: string;
  id: string;
}

export interface GetSweepRequest {
  sweep: string;
}

export interface GetSweepSummaryRequest {
  sweep: string;
  top: number;
}

export interface GetTableRequest {
  team: string;
  project: string;
  run: string;
  key: string;
  step?: Int64;
  rank?: number;
  filters: TableFilter[];
  order: TableOrder[];
  page_size: number;
  page_token: string;
}

export interface GetTableResponse {
  columns: TableColumn[];
  rows_json: string;
  row_numbers: number[];
  total_rows: number;
  matching_rows: number;
  next_page_token: string;
  step: Int64;
  rank: number;
  plot_json: string;
  steps: Int64[];
  time_us: Int64;
}

export interface GetTextsRequest {
  team: string;
  project: string;
  run: string;
  keys: string[];
  ranks: number[];
  min_step?: Int64;
  max_step?: Int64;
  newest_first: boolean;
  page_size: number;
  page_token: string;
}

export interface GetTextsResponse {
  texts: TextPoint[];
  next_page_token: string;
}

export interface GitDiff {
  run: string;
  unified_diff: string;
  truncated: boolean;
}

export type Goal = "GOAL_UNSPECIFIED" | "GOAL_MINIMIZE" | "GOAL_MAXIMIZE";

export interface GroupCurve {
  group: string[];
  metric: string;
  runs: string[];
  bucket_width: Int64;
  steps: Int64[];
  means: Double[];
  stds: Double[];
  mins: Double[];
  maxs: Double[];
  counts: number[];
  smoothed: Double[];
}

export interface HeartbeatRequest {
  agent: string;
  trials: TrialBeat[];
}

export interface HeartbeatResponse {
  lease_s: Double;
  stop: StopOrder[];
  verdict: LeaseTrialsResponseVerdict;
  cause: StopCause;
  reason: string;
}

export interface HeatMap {
  rank: number;
  columns: HistogramColumn[];
  lowest: Double;
  highest: Double;
  largest_count: Double;
}

export interface HistogramColumn {
  first_step: Int64;
  last_step: Int64;
  histograms: Int64;
  edges: Double[];
  counts: Double[];
  time_us: Int64;
  exact: boolean;
  rank: number;
}

export interface Improvement {
  number: Int64;
  ended_trials: Int64;
  ended?: string;
  value: Double;
}

export interface Key {
  name: string;
  kind: KeyKind;
  first_step: Int64;
  last_step: Int64;
  count: Int64;
  ranks: number[];
  types: string[];
}

export interface KeyChange {
  run: string;
  key: string;
  kind: KeyKind;
  step: Int64;
}

export type KeyKind =
  | "KEY_KIND_UNSPECIFIED"
  | "KEY_KIND_HISTOGRAM"
  | "KEY_KIND_TABLE"
  | "KEY_KIND_PLOT"
  | "KEY_KIND_MEDIA"
  | "KEY_KIND_TEXT";

export interface KnownTrial {
  parameters_json: string;
  values: Double[];
  run: string;
}

export interface LargeValue {
  section: string;
  key: string;
  size_bytes: Int64;
  value_json: string;
}

export interface LastStep {
  rank: number;
  step: Int64;
}

export interface LeaseTrialsRequest {
  agent: string;
  request_id: string;
  count: number;
  wait_s: Double;
}

export interface LeaseTrialsResponse {
  verdict: LeaseTrialsResponseVerdict;
  trials: LeasedTrial[];
  cause: StopCause;
  reason: string;
  retry_after_s: Double;
}

export type LeaseTrialsResponseVerdict =
  | "VERDICT_UNSPECIFIED"
  | "VERDICT_GO"
  | "VERDICT_WAIT"
  | "VERDICT_PAUSED"
  | "VERDICT_STOP";

export interface LeasedTrial {
  trial?: Trial;
  lease: string;
  lease_s: Double;
  resume: boolean;
}

export interface ListAgentsRequest {
  sweep: string;
  page_size: number;
  page_token: string;
}

export interface ListAgentsResponse {
  agents: Agent[];
  next_page_token: string;
}

export interface ListAlertsRequest {
  team: string;
  project: string;
  run: string;
  levels: string[];
  page_size: number;
  page_token: string;
}

export interface ListAlertsResponse {
  alerts: AlertItem[];
  next_page_token: string;
}

export interface ListApiKeysRequest {
  all: boolean;
}

export interface ListApiKeysResponse {
  keys: ApiKey[];
}

export interface ListChangesRequest {
  team: string;
  project: string;
  subject: string;
  page_size: number;
  page_token: string;
}

export interface ListChangesResponse {
  changes: Change[];
  next_page_token: string;
}

export interface ListFieldsRequest {
  team: string;
  project: string;
  section: FieldSection;
  search: string;
  regex: string;
  glob: string;
  page_size: number;
  page_token: string;
}

export interface ListFieldsResponse {
  fields: FieldInfo[];
  next_page_token: string;
}

export interface ListFilesRequest {
  team: string;
  project: string;
  run: string;
  category: string;
  prefix: string;
  page_size: number;
  page_token: string;
}

export interface ListFilesResponse {
  files: FileItem[];
  next_page_token: string;
}

export interface ListKeysRequest {
  team: string;
  project: string;
  run: string;
  kinds: KeyKind[];
  search: string;
  page_size: number;
  page_token: string;
}

export interface ListKeysResponse {
  keys: Key[];
  next_page_token: string;
}

export interface ListMediaRequest {
  team: string;
  project: string;
  run: string;
  prefix: string;
  min_step?: Int64;
  max_step?: Int64;
  at_step?: Int64;
  ranks: number[];
  types: string[];
  page_size: number;
  page_token: string;
}

export interface ListMediaResponse {
  items: MediaItem[];
  next_page_token: string;
  steps: Int64[];
}

export interface ListMetricsRequest {
  team: string;
  project: string;
  run: string;
  search: string;
  page_size: number;
  page_token: string;
  runs: string[];
  regex: string;
  glob: string;
}

export interface ListMetricsResponse {
  metrics: Metric[];
  next_page_token: string;
}

export interface ListProjectsRequest {
  team: string;
}

export interface ListProjectsResponse {
  projects: Project[];
}

export interface ListRunsRequest {
  team: string;
  project: string;
  state: RunState;
  search: string;
  page_size: number;
  page_token: string;
  filter: string;
  order: string[];
  fields: string[];
}

export interface ListRunsResponse {
  runs: Run[];
  next_page_token: string;
  total: Int64;
}

export interface ListSavedRequest {
  team: string;
  project: string;
  kind: SavedKind;
  deleted: boolean;
}

export interface ListSavedResponse {
  saved: Saved[];
}

export interface ListSweepChangesRequest {
  sweep: string;
  page_size: number;
  page_token: string;
}

export interface ListSweepChangesResponse {
  changes: SweepChange[];
  next_page_token: string;
}

export interface ListSweepsRequest {
  team: string;
  project: string;
  state: SweepState;
  page_size: number;
  page_token: string;
}

export interface ListSweepsResponse {
  sweeps: Sweep[];
  next_page_token: string;
}

export interface ListTrialsRequest {
  sweep: string;
  states: TrialState[];
  order: ListTrialsRequestOrder;
  page_size: number;
  page_token: string;
  numbers: Int64[];
  objective: number;
}

export type ListTrialsRequestOrder = "ORDER_UNSPECIFIED" | "ORDER_NUMBER" | "ORDER_NEWEST" | "ORDER_VALUE";

export interface ListTrialsResponse {
  trials: Trial[];
  next_page_token: string;
}

export interface LivePoints {
  run: string;
  metric: string;
  rank: number;
  steps: Int64[];
  values: Double[];
  times_us: Int64[];
}

export interface MediaItem {
  key: string;
  step: Int64;
  rank: number;
  index: number;
  media_type: string;
  sha256: string;
  size_bytes: Int64;
  caption: string;
  metadata_json: string;
  path: string;
  time_us: Int64;
}

export interface Membership {
  team: string;
  role: string;
}

export interface Metric {
  name: string;
  ranks: number;
  last_step: Int64;
  last_value: Double;
  last_time?: string;
  runs: Int64;
}

export interface MetricStatistics {
  metric: string;
  runs: Int64;
  not_finite: Int64;
  mean: Double;
  std: Double;
  min: Double;
  max: Double;
}

export interface NotFinite {
  metric: string;
  step: Int64;
  rank: number;
  value: Double;
  time_us: Int64;
  points: Int64;
  ranks: number;
}

export interface Objective {
  metric: string;
  maximize: boolean;
  target?: Double;
  summary: string;
}

export interface ParameterImportance {
  key: string;
  kind: AxisKind;
  importance: Double;
  importance_std: Double;
  pearson?: Double;
  spearman?: Double;
  runs: Int64;
  distinct: Int64;
}

export interface ParetoRun {
  run: string;
  name: string;
  layer: number;
  values: Double[];
}

export interface PlotBins {
  edges: Double[];
  counts: Double[];
  left_out: number;
}

export interface PlotSeries {
  name: string;
  xs: Double[];
  ys: Double[];
  labels: string[];
  area: Double;
}

export interface Project {
  team: string;
  name: string;
  runs: Int64;
  created?: string;
  last_activity?: string;
  description: string;
}

export interface RankCurve {
  metric: string;
  bucket_width: Int64;
  first_steps: Int64[];
  last_steps: Int64[];
  means: Double[];
  stds: Double[];
  mins: Double[];
  maxs: Double[];
  min_ranks: number[];
  max_ranks: number[];
  p05s: Double[];
  p50s: Double[];
  p95s: Double[];
  counts: number[];
  not_finite: Int64[];
}

export interface RankExtent {
  rank: number;
  first_step: Int64;
  last_step: Int64;
  points: Int64;
}

export interface RankRunsRequest {
  team: string;
  project: string;
  metric: string;
  aggregate: Aggregate;
  ascending: boolean;
  limit: number;
  sweep_id: string;
  filter: string;
  at: string;
  at_goal: Goal;
  fields: string[];
}

export interface RankRunsResponse {
  runs: RankedRun[];
}

export type RankSelection =
  | "RANK_SELECTION_UNSPECIFIED"
  | "RANK_SELECTION_MEAN"
  | "RANK_SELECTION_EACH"
  | "RANK_SELECTION_ONE";

export interface RankedRun {
  place: number;
  value: Double;
  run?: Run;
  at_step?: Int64;
}

export interface RecordGap {
  writer_id: string;
  rank: number;
  first_record: Int64;
  last_record: Int64;
}

export interface RegisterAgentRequest {
  sweep: string;
  name: string;
  host: string;
  lease_s: Double;
  failure_limit: number;
  failure_window_s: Double;
  failure_guard_off: boolean;
}

export interface ReportValuesRequest {
  agent: string;
  number: Int64;
  lease: string;
  values: ReportedValue[];
}

export interface ReportValuesResponse {
  stop?: StopOrder;
}

export interface ReportedValue {
  step: Int64;
  value: Double;
}

export interface Reset {
  reason: string;
  runs: string[];
}

export interface RestoreSavedRequest {
  team: string;
  project: string;
  id: string;
}

export interface RevokeApiKeyRequest {
  prefix: string;
}

export interface Run {
  team: string;
  project: string;
  id: string;
  name: string;
  notes: string;
  tags: string[];
  group: string;
  job_type: string;
  user: string;
  state: RunState;
  created?: string;
  heartbeat?: string;
  finished?: string;
  duration_s: Double;
  config?: Json;
  summary?: Json;
  streams: Stream[];
  completeness?: Completeness;
  environment?: Json;
  world_size: number;
  sweep_id: string;
  last_steps: LastStep[];
  summary_truncated: boolean;
  unreadable: string;
  config_truncated: boolean;
  large: LargeValue[];
  edited_fields: EditedField[];
}

export interface RunChange {
  kind: RunChangeKind;
  run: string;
  state: string;
  name: string;
  user: string;
  world_size: number;
  created_us: Int64;
  heartbeat_us: Int64;
  finished_us: Int64;
}

export type RunChangeKind = "KIND_UNSPECIFIED" | "KIND_SNAPSHOT" | "KIND_NEW" | "KIND_STATE" | "KIND_GONE";

export interface RunGroup {
  values: JsonValue[];
  runs: Int64;
  metrics: MetricStatistics[];
}

export interface RunObjective {
  metric: string;
  aggregate: Aggregate;
  goal: Goal;
  at: string;
  at_goal: Goal;
}

export interface RunRows {
  run: string;
  points: Int64;
  fields: Int64;
  texts: Int64;
  histograms: Int64;
  tables: Int64;
  media: Int64;
  files: Int64;
  console: Int64;
  alerts: Int64;
}

export interface RunSqlRequest {
  team: string;
  sql: string;
  parameters: { [key: string]: string };
  max_rows: number;
  format: SqlFormat;
}

export interface RunSqlResponse {
  columns: SqlColumn[];
  rows: JsonValue[][];
  arrow: string;
  more: boolean;
  elapsed_s: Double;
}

export type RunState =
  | "RUN_STATE_UNSPECIFIED"
  | "RUN_STATE_RUNNING"
  | "RUN_STATE_FINISHED"
  | "RUN_STATE_FAILED"
  | "RUN_STATE_CRASHED"
  | "RUN_STATE_PREEMPTED";

export interface Saved {
  team: string;
  project: string;
  id: string;
  kind: SavedKind;
  name: string;
  content: string;
  shared: boolean;
  owner: string;
  version: Int64;
  created?: string;
  updated?: string;
  updated_by: string;
  deleted?: string;
}

export type SavedKind = "SAVED_KIND_UNSPECIFIED" | "SAVED_KIND_CHARTS" | "SAVED_KIND_TABLE" | "SAVED_KIND_REPORT";

export interface Series {
  metric: string;
  rank: number;
  steps: Int64[];
  values: Double[];
  times_us: Int64[];
}

export interface SetRetentionRequest {
  team: string;
  project: string;
  days: number;
}

export interface SetRetentionResponse {
  days: number;
}

export interface Smoothing {
  kind: SmoothingKind;
  amount: Double;
  log: boolean;
}

export type SmoothingKind = "KIND_UNSPECIFIED" | "KIND_EMA" | "KIND_GAUSSIAN" | "KIND_RUNNING_AVERAGE";

export interface SqlColumn {
  name: string;
  type: string;
}

export type SqlFormat = "SQL_FORMAT_UNSPECIFIED" | "SQL_FORMAT_ROWS" | "SQL_FORMAT_ARROW";

export type StopCause =
  | "STOP_CAUSE_UNSPECIFIED"
  | "STOP_CAUSE_SWEEP_FINISHED"
  | "STOP_CAUSE_SWEEP_CANCELLED"
  | "STOP_CAUSE_PRUNED"
  | "STOP_CAUSE_LEASE_LOST"
  | "STOP_CAUSE_FAILURE_GUARD"
  | "STOP_CAUSE_BUDGET"
  | "STOP_CAUSE_SWEEP_DELETED";

export interface StopOrder {
  number: Int64;
  cause: StopCause;
  reason: string;
}

export interface Straggler {
  rank: number;
  last_step: Int64;
  steps_behind: Int64;
  silent_s: Double;
  step_s: Double;
  slowdown: Double;
  deviation: Double;
  lags: boolean;
  host: string;
}

export interface Stream {
  writer_id: string;
  rank: number;
  epoch: Int64;
  host: string;
  state: RunState;
  exit_code: number;
  started?: string;
  heartbeat?: string;
  finished?: string;
  completeness?: Completeness;
}

export interface Sweep {
  id: string;
  team: string;
  project: string;
  name: string;
  description: string;
  definition_json: string;
  method: string;
  state: SweepState;
  reason: string;
  objectives: Objective[];
  seed: Int64;
  run_cap: Int64;
  max_parallel: number;
  retries: number;
  size: Int64;
  size_is_limit: boolean;
  counts?: TrialCounts;
  created_by: string;
  created?: string;
  started?: string;
  ended?: string;
  cost: Double;
  trial_seconds: Double;
  notes: string[];
}

export interface SweepChange {
  time?: string;
  author: string;
  action: string;
  detail: string;
}

export type SweepCommand =
  | "SWEEP_COMMAND_UNSPECIFIED"
  | "SWEEP_COMMAND_PAUSE"
  | "SWEEP_COMMAND_RESUME"
  | "SWEEP_COMMAND_STOP"
  | "SWEEP_COMMAND_CANCEL";

export type SweepState =
  | "SWEEP_STATE_UNSPECIFIED"
  | "SWEEP_STATE_RUNNING"
  | "SWEEP_STATE_PAUSED"
  | "SWEEP_STATE_FINISHED"
  | "SWEEP_STATE_CANCELLED";

export interface SweepSummary {
  sweep?: Sweep;
  agents: Int64;
  trials_per_hour: Double;
  eta_s?: Double;
  best: Trial[];
  improvements: Improvement[];
  values_pending: Int64;
  values_missing: Int64;
}

export interface TableColumn {
  name: string;
  type: string;
  missing: number;
}

export interface TableFilter {
  column: string;
  operator: TableFilterOperator;
  value?: JsonValue;
}

export type TableFilterOperator =
  | "OPERATOR_UNSPECIFIED"
  | "OPERATOR_EQ"
  | "OPERATOR_NE"
  | "OPERATOR_LT"
  | "OPERATOR_LE"
  | "OPERATOR_GT"
  | "OPERATOR_GE"
  | "OPERATOR_IN"
  | "OPERATOR_CONTAINS"
  | "OPERATOR_REGEX"
  | "OPERATOR_MISSING"
  | "OPERATOR_PRESENT";

export interface TableOrder {
  column: string;
  descending: boolean;
}

export interface TagList {
  tags: string[];
}

export interface TextPoint {
  key: string;
  step: Int64;
  rank: number;
  text: string;
  time_us: Int64;
}

export interface Trial {
  sweep: string;
  number: Int64;
  state: TrialState;
  parameters_json: string;
  run: string;
  attempt: number;
  agent: string;
  value_state: ValueState;
  values: Double[];
  exit_code: number;
  message: string;
  created?: string;
  leased?: string;
  ended?: string;
  duration_s: Double;
  cost: Double;
  place: Int64;
}

export interface TrialBeat {
  number: Int64;
  lease: string;
  run: string;
}

export interface TrialCounts {
  queued: Int64;
  running: Int64;
  finished: Int64;
  failed: Int64;
  pruned: Int64;
  cancelled: Int64;
  added: Int64;
}

export type TrialState =
  | "TRIAL_STATE_UNSPECIFIED"
  | "TRIAL_STATE_QUEUED"
  | "TRIAL_STATE_RUNNING"
  | "TRIAL_STATE_FINISHED"
  | "TRIAL_STATE_FAILED"
  | "TRIAL_STATE_PRUNED"
  | "TRIAL_STATE_CANCELLED"
  | "TRIAL_STATE_ADDED";

export interface UpdateProjectRequest {
  team: string;
  project: string;
  description?: string;
}

export interface UpdateRunsRequest {
  team: string;
  project: string;
  runs: string[];
  name?: string;
  notes?: string;
  group?: string;
  job_type?: string;
  tags?: TagList;
  add_tags: string[];
  remove_tags: string[];
  config?: Json;
  summary?: Json;
  remove_config: string[];
  remove_summary: string[];
}

export interface UpdateRunsResponse {
  runs: Run[];
}

export interface UpdateSavedRequest {
  team: string;
  project: string;
  id: string;
  version: Int64;
  overwrite: boolean;
  name?: string;
  content?: string;
  shared?: boolean;
}

export interface UpdateSweepRequest {
  sweep: string;
  name?: string;
  description?: string;
  run_cap?: Int64;
  max_parallel?: number;
  retries?: number;
  early_terminate_off: boolean;
  wall_time_s?: Double;
  trial_time_s?: Double;
  cost?: Double;
  definition_json: string;
}

export type ValueState =
  | "VALUE_STATE_UNSPECIFIED"
  | "VALUE_STATE_PENDING"
  | "VALUE_STATE_KNOWN"
  | "VALUE_STATE_MISSING";

export interface VerifyRunsRequest {
  team: string;
  project: string;
  runs: string[];
}

export interface VerifyRunsResponse {
  runs: VerifyRunsResponseVerdict[];
}

export interface VerifyRunsResponseVerdict {
  run: string;
  completeness?: Completeness;
}

export interface WatchRunsRequest {
  team: string;
  project: string;
  runs: string[];
  metrics: string[];
  ranks: number[];
  console: boolean;
  console_ranks: number[];
  after: string;
}

export interface WatchRunsResponse {
  event_id: string;
  reset?: Reset;
  runs: RunChange[];
  points: LivePoints[];
  fields: FieldChange[];
  keys: KeyChange[];
  console: ConsoleRow[];
  alerts: AlertItem[];
  behind_s: Double;
}

export interface WhoAmIRequest {
}

export interface WhoAmIResponse {
  user: string;
  teams: string[];
  default_team: string;
  key_prefix: string;
}

export type XAxis =
  | "X_AXIS_UNSPECIFIED"
  | "X_AXIS_STEP"
  | "X_AXIS_RELATIVE_TIME"
  | "X_AXIS_WALL_TIME"
  | "X_AXIS_METRIC";

export interface Methods {
  ListProjects: [ListProjectsRequest, ListProjectsResponse];
  ListRuns: [ListRunsRequest, ListRunsResponse];
  GetRun: [GetRunRequest, Run];
  VerifyRuns: [VerifyRunsRequest, VerifyRunsResponse];
  ListMetrics: [ListMetricsRequest, ListMetricsResponse];
  GetHistory: [GetHistoryRequest, GetHistoryResponse];
  GetCurves: [GetCurvesRequest, GetCurvesResponse];
  GetGroupCurves: [GetGroupCurvesRequest, GetGroupCurvesResponse];
  GetRankCurves: [GetRankCurvesRequest, GetRankCurvesResponse];
  GetRankMap: [GetRankMapRequest, GetRankMapResponse];
  FindNotFinite: [FindNotFiniteRequest, FindNotFiniteResponse];
  FindStragglers: [FindStragglersRequest, FindStragglersResponse];
  RankRuns: [RankRunsRequest, RankRunsResponse];
  CountRuns: [CountRunsRequest, CountRunsResponse];
  ListFields: [ListFieldsRequest, ListFieldsResponse];
  CompareRuns: [CompareRunsRequest, CompareRunsResponse];
  GetParetoFront: [GetParetoFrontRequest, GetParetoFrontResponse];
  GetImportance: [GetImportanceRequest, GetImportanceResponse];
  GetParallelCoordinates: [GetParallelCoordinatesRequest, GetParallelCoordinatesResponse];
  ListKeys: [ListKeysRequest, ListKeysResponse];
  GetHistograms: [GetHistogramsRequest, GetHistogramsResponse];
  GetTable: [GetTableRequest, GetTableResponse];
  GetPlot: [GetPlotRequest, GetPlotResponse];
  ListMedia: [ListMediaRequest, ListMediaResponse];
  ListFiles: [ListFilesRequest, ListFilesResponse];
  GetTexts: [GetTextsRequest, GetTextsResponse];
  ListAlerts: [ListAlertsRequest, ListAlertsResponse];
  GetConsole: [GetConsoleRequest, GetConsoleResponse];
  DeleteRuns: [DeleteRunsRequest, DeleteResponse];
  DeleteMetric: [DeleteMetricRequest, DeleteResponse];
  DeleteProject: [DeleteProjectRequest, DeleteResponse];
  SetRetention: [SetRetentionRequest, SetRetentionResponse];
  RunSql: [RunSqlRequest, RunSqlResponse];
  CountRows: [CountRowsRequest, CountRowsResponse];
  GetExtent: [GetExtentRequest, GetExtentResponse];
  UpdateRuns: [UpdateRunsRequest, UpdateRunsResponse];
  UpdateProject: [UpdateProjectRequest, Project];
  ListChanges: [ListChangesRequest, ListChangesResponse];
  ListSaved: [ListSavedRequest, ListSavedResponse];
  GetSaved: [GetSavedRequest, Saved];
  CreateSaved: [CreateSavedRequest, Saved];
  UpdateSaved: [UpdateSavedRequest, Saved];
  DeleteSaved: [DeleteSavedRequest, DeleteSavedResponse];
  RestoreSaved: [RestoreSavedRequest, Saved];
  WhoAmI: [WhoAmIRequest, WhoAmIResponse];
  CreateSweep: [CreateSweepRequest, Sweep];
  GetSweep: [GetSweepRequest, Sweep];
  ListSweeps: [ListSweepsRequest, ListSweepsResponse];
  UpdateSweep: [UpdateSweepRequest, Sweep];
  CommandSweep: [CommandSweepRequest, Sweep];
  DeleteSweep: [DeleteSweepRequest, DeleteSweepResponse];
  RegisterAgent: [RegisterAgentRequest, Agent];
  ListAgents: [ListAgentsRequest, ListAgentsResponse];
  LeaseTrials: [LeaseTrialsRequest, LeaseTrialsResponse];
  Heartbeat: [HeartbeatRequest, HeartbeatResponse];
  EndTrial: [EndTrialRequest, EndTrialResponse];
  ReportValues: [ReportValuesRequest, ReportValuesResponse];
  AddTrials: [AddTrialsRequest, AddTrialsResponse];
  ListTrials: [ListTrialsRequest, ListTrialsResponse];
  GetBestTrials: [GetBestTrialsRequest, GetBestTrialsResponse];
  GetSweepSummary: [GetSweepSummaryRequest, SweepSummary];
  ListSweepChanges: [ListSweepChangesRequest, ListSweepChangesResponse];
  GetAccount: [GetAccountRequest, Account];
  ListApiKeys: [ListApiKeysRequest, ListApiKeysResponse];
  CreateApiKey: [CreateApiKeyRequest, CreateApiKeyResponse];
  RevokeApiKey: [RevokeApiKeyRequest, ApiKey];
}

export interface Streams {
  WatchRuns: [WatchRunsRequest, WatchRunsResponse];
  ExportPoints: [ExportPointsRequest, ExportChunk];
  ExportRows: [ExportRowsRequest, ExportChunk];
}
