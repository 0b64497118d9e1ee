"""What somebody who knows the schema and the engine well would write by hand for the same answers."""

from __future__ import annotations

LONG_CHART = """
SELECT intDiv(step, {width:Int64}) AS bucket, min(step), max(step), argMin(value, step), argMax(value, step),
       min(value), max(value), avg(value), count(), countIf(NOT isFinite(value)), min(time)
FROM points FINAL
WHERE project = 'main/deep' AND run = 'long' AND metric = 'loss' AND rank = 0
GROUP BY bucket ORDER BY bucket
"""

WORKSPACE = """
SELECT run, metric, step, value, time
FROM points FINAL
WHERE project = 'main/wide' AND run IN {runs:Array(String)} AND metric IN {metrics:Array(String)}
ORDER BY run, metric, rank, step
"""

_CHOSEN = """
WITH
chosen AS
(
    SELECT run FROM run_fields FINAL
    WHERE project = 'main/wide' AND section = 'config' AND key = 'lr' AND deleted = 0 AND toFloat64OrNull(value) < 0.01
),
latest AS
(
    SELECT run, tupleElement(max(last), 3) AS value FROM series
    WHERE project = 'main/wide' AND metric = {metric:String} GROUP BY run
),
page AS
(
    SELECT run, value FROM latest WHERE run IN (SELECT run FROM chosen) AND value > 0.2 AND run IN (
        SELECT run FROM streams FINAL WHERE project = 'main/wide' AND event = 'finish' AND outcome = 'finished')
    ORDER BY value DESC, run LIMIT 50
)
"""
RUNS_PAGE = f"""{_CHOSEN}
SELECT run, section, key, value FROM run_fields FINAL
WHERE project = 'main/wide' AND run IN (SELECT run FROM page) AND section IN ('run', 'config') AND deleted = 0
UNION ALL
SELECT run, 'summary', metric, toString(tupleElement(max(last), 3)) FROM series
WHERE project = 'main/wide' AND run IN (SELECT run FROM page) GROUP BY run, metric
"""

TABLE_PAGE = f"""{_CHOSEN}
SELECT run, section, key, value FROM run_fields FINAL
WHERE project = 'main/wide' AND run IN (SELECT run FROM page) AND deleted = 0
  AND (section = 'run' OR (section = 'config' AND key IN {{keys:Array(String)}}))
UNION ALL
SELECT run, 'summary', metric, toString(tupleElement(max(last), 3)) FROM series
WHERE project = 'main/wide' AND run IN (SELECT run FROM page) AND metric IN {{metrics:Array(String)}}
GROUP BY run, metric
"""

TOP_K = """
WITH best AS
(
    SELECT run, tupleElement(max(last), 3) AS value FROM series
    WHERE project = 'main/sweep' AND metric = 'metric-3'
      AND run IN (SELECT run FROM run_fields FINAL WHERE project = 'main/sweep' AND section = 'run' AND key = 'sweep_id'
                  AND value = '"sweep-1"')
    GROUP BY run ORDER BY value DESC, run LIMIT 10
)
SELECT best.run, best.value, f.key, f.value FROM best INNER JOIN
(SELECT run, key, value FROM run_fields FINAL WHERE project = 'main/sweep' AND run IN (SELECT run FROM best)) AS f
ON f.run = best.run
"""

RANKS = """
SELECT step, avg(value), min(value), max(value), argMin(rank, value), argMax(rank, value), stddevPop(value), count(),
       countIf(NOT isFinite(value))
FROM points FINAL
WHERE project = 'main/deep' AND run = 'ranks' AND metric = 'loss' AND step BETWEEN {low:Int64} AND {high:Int64}
GROUP BY step ORDER BY step
"""

METRIC_SEARCH = """
SELECT metric, uniqExact(rank), max(tupleElement(last, 1)), avg(tupleElement(last, 3)), max(tupleElement(last, 4))
FROM series
WHERE project = 'main/deep' AND run = 'names' AND match(metric, {pattern:String})
GROUP BY metric ORDER BY metric LIMIT 100
"""

EXPORT = """
SELECT metric, rank, step, value, time
FROM points FINAL
WHERE project = 'main/deep' AND run = 'long'
"""
