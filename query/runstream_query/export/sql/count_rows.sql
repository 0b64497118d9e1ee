-- The number of current rows of each kind, by run. Parameters: project; runs (empty: all).
SELECT run,
    sumIf(rows, kind = 'points') AS points,
    sumIf(rows, kind = 'fields') AS fields,
    sumIf(rows, kind = 'texts') AS texts,
    sumIf(rows, kind = 'histograms') AS histograms,
    sumIf(rows, kind = 'tables') AS tables,
    sumIf(rows, kind = 'media') AS media,
    sumIf(rows, kind = 'files') AS files,
    sumIf(rows, kind = 'console') AS console,
    sumIf(rows, kind = 'alerts') AS alerts
FROM
(
    SELECT toString(run) AS run, 'points' AS kind, count() AS rows FROM points FINAL
    WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
    GROUP BY run
    UNION ALL
    SELECT toString(run) AS run, 'fields' AS kind, count() AS rows FROM run_fields FINAL
    WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)}) AND deleted = 0
      AND section != 'replaced'
    GROUP BY run
    UNION ALL
    SELECT toString(run) AS run, 'texts' AS kind, count() AS rows FROM strings FINAL
    WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
    GROUP BY run
    UNION ALL
    SELECT toString(run) AS run, 'histograms' AS kind, count() AS rows FROM histograms FINAL
    WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
    GROUP BY run
    UNION ALL
    SELECT toString(run) AS run, 'tables' AS kind, count() AS rows FROM tables FINAL
    WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
    GROUP BY run
    UNION ALL
    SELECT toString(run) AS run, 'media' AS kind, count() AS rows FROM media FINAL
    WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
    GROUP BY run
    UNION ALL
    SELECT toString(run) AS run, 'files' AS kind, count() AS rows FROM files FINAL
    WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
    GROUP BY run
    UNION ALL
    SELECT toString(run) AS run, 'console' AS kind, count() AS rows FROM console FINAL
    WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
    GROUP BY run
    UNION ALL
    SELECT toString(run) AS run, 'alerts' AS kind, count() AS rows FROM alerts FINAL
    WHERE project = {project:String} AND (empty({runs:Array(String)}) OR run IN {runs:Array(String)})
    GROUP BY run
)
GROUP BY run
ORDER BY run
LIMIT 100000
