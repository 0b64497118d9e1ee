-- A user of ClickHouse's own that may only read the rows of one team: for Grafana, or people, on a cluster directly.
-- The query service's /clickhouse/ needs none of this, and its keys can be made and revoked by anybody who runs it.
--
-- Put in your team, database and password, then, as an administrator:
--     clickhouse-client --multiquery < reader.sql
--
-- What to know of row policies:
-- 1. A policy TO one user leaves the others as they are only while `users_without_row_policies_can_read_rows` is true
--    (it is in the packaged config.xml; without it the services, too, would read nothing). The second policy of each
--    table says it whatever that setting is.
-- 2. A policy belongs to a table. The views read as the one who asks (SQL SECURITY INVOKER, the default), so the
--    policies of their tables hold in them. A view made with SQL SECURITY DEFINER would show its definer's rows.
-- 3. With FINAL a policy filters before the versions of a row are merged, unless `apply_row_policy_after_final` says
--    otherwise. Here that changes nothing: `project` is the first column of every key, so all versions of a row pass
--    or none. A policy on another column (value, time, user) could take out the newest version and so bring back one
--    that it had replaced.
-- 4. A table that a later version adds has no policy until this file is run again, and would be shown whole where
--    SELECT is granted on the database: so SELECT is granted on each table by name.
--    `listening` has none: it holds nothing of any team, and the views need all of it to know who is silent.
-- 5. Functions on LowCardinality columns are computed on a part's whole dictionary, with values of rows that the policy
--    takes out: base58Decode(run) on `points` can say another team's run in its error. The views have no such column,
--    but to read them the user must be able to read their tables. Where teams may not know of each other's names, use
--    /clickhouse/, which shows the views only.

CREATE SETTINGS PROFILE IF NOT EXISTS runstream_reader SETTINGS
    readonly = 2,
    allow_ddl = 0,
    allow_introspection_functions = 0,
    max_execution_time = 30 MAX 30,
    max_memory_usage = 1073741824 MAX 1073741824,
    max_result_rows = 1000000,
    max_concurrent_queries_for_user = 16,
    do_not_merge_across_partitions_select_final = 1;

CREATE USER IF NOT EXISTS runstream_reader IDENTIFIED WITH sha256_password BY 'CHANGE-ME' SETTINGS PROFILE 'runstream_reader';

CREATE ROW POLICY IF NOT EXISTS runstream_team ON default.alerts USING startsWith(project, 'main/') TO runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_others ON default.alerts USING 1 TO ALL EXCEPT runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_team ON default.console USING startsWith(project, 'main/') TO runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_others ON default.console USING 1 TO ALL EXCEPT runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_team ON default.files USING startsWith(project, 'main/') TO runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_others ON default.files USING 1 TO ALL EXCEPT runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_team ON default.histograms USING startsWith(project, 'main/') TO runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_others ON default.histograms USING 1 TO ALL EXCEPT runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_team ON default.ledger USING startsWith(project, 'main/') TO runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_others ON default.ledger USING 1 TO ALL EXCEPT runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_team ON default.media USING startsWith(project, 'main/') TO runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_others ON default.media USING 1 TO ALL EXCEPT runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_team ON default.points USING startsWith(project, 'main/') TO runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_others ON default.points USING 1 TO ALL EXCEPT runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_team ON default.rejects USING startsWith(project, 'main/') TO runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_others ON default.rejects USING 1 TO ALL EXCEPT runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_team ON default.run_fields USING startsWith(project, 'main/') TO runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_others ON default.run_fields USING 1 TO ALL EXCEPT runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_team ON default.series USING startsWith(project, 'main/') TO runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_others ON default.series USING 1 TO ALL EXCEPT runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_team ON default.streams USING startsWith(project, 'main/') TO runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_others ON default.streams USING 1 TO ALL EXCEPT runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_team ON default.strings USING startsWith(project, 'main/') TO runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_others ON default.strings USING 1 TO ALL EXCEPT runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_team ON default.tables USING startsWith(project, 'main/') TO runstream_reader;
CREATE ROW POLICY IF NOT EXISTS runstream_others ON default.tables USING 1 TO ALL EXCEPT runstream_reader;

GRANT SELECT ON default.alerts TO runstream_reader;
GRANT SELECT ON default.alerts_now TO runstream_reader;
GRANT SELECT ON default.config_now TO runstream_reader;
GRANT SELECT ON default.console TO runstream_reader;
GRANT SELECT ON default.console_now TO runstream_reader;
GRANT SELECT ON default.files TO runstream_reader;
GRANT SELECT ON default.files_now TO runstream_reader;
GRANT SELECT ON default.histograms TO runstream_reader;
GRANT SELECT ON default.histograms_now TO runstream_reader;
GRANT SELECT ON default.ledger TO runstream_reader;
GRANT SELECT ON default.ledger_now TO runstream_reader;
GRANT SELECT ON default.listening TO runstream_reader;
GRANT SELECT ON default.media TO runstream_reader;
GRANT SELECT ON default.media_now TO runstream_reader;
GRANT SELECT ON default.metrics_now TO runstream_reader;
GRANT SELECT ON default.points TO runstream_reader;
GRANT SELECT ON default.points_now TO runstream_reader;
GRANT SELECT ON default.rejects TO runstream_reader;
GRANT SELECT ON default.rejects_now TO runstream_reader;
GRANT SELECT ON default.run_fields TO runstream_reader;
GRANT SELECT ON default.runs_now TO runstream_reader;
GRANT SELECT ON default.series TO runstream_reader;
GRANT SELECT ON default.series_now TO runstream_reader;
GRANT SELECT ON default.streams TO runstream_reader;
GRANT SELECT ON default.streams_now TO runstream_reader;
GRANT SELECT ON default.strings TO runstream_reader;
GRANT SELECT ON default.strings_now TO runstream_reader;
GRANT SELECT ON default.summary_now TO runstream_reader;
GRANT SELECT ON default.tables TO runstream_reader;
GRANT SELECT ON default.tables_now TO runstream_reader;
