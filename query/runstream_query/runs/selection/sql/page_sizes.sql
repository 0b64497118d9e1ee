-- About how much the documents of some runs are in a list: rows that a newer one has replaced count, too. Parameters:
-- project; runs; longest, of a value; most, of the bytes of a run.
SELECT run, sum(found) AS keys, least(sum(size), {most:UInt64}) AS bytes
FROM
(
    SELECT run, count() AS found, sum(length(key) + least(length(value), {longest:UInt64})) AS size
    FROM run_fields
    PREWHERE project = {project:String} AND run IN {runs:Array(String)}
    WHERE section IN ('run', 'config', 'summary', 'definition')
    GROUP BY run
    UNION ALL
    SELECT run, uniqExact(metric) AS found, found * 32 AS size
    FROM series
    WHERE project = {project:String} AND run IN {runs:Array(String)}
    GROUP BY run
)
GROUP BY run
