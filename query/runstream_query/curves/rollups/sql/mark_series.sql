-- These series of a part are rolled up. Parameters: part; project; run; month; and of each series: metrics, ranks, widths,
-- first_steps, last_steps, counts.
INSERT INTO rolled_series
SELECT
    {project:String} AS project,
    {run:String} AS run,
    metric,
    rank,
    {part:String} AS part,
    widths,
    first_step,
    last_step,
    points,
    {month:Date} AS run_month
FROM system.one
ARRAY JOIN
    {metrics:Array(String)} AS metric,
    {ranks:Array(UInt32)} AS rank,
    {widths:Array(Array(Int64))} AS widths,
    {first_steps:Array(Int64)} AS first_step,
    {last_steps:Array(Int64)} AS last_step,
    {counts:Array(UInt64)} AS points
