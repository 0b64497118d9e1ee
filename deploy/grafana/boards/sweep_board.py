"""Sweep ranking."""

from __future__ import annotations

from dashboard_model import OF_PROJECT, PROJECT, TEAM, Panel, choice, dashboard, panel, query_variable, sql, unit_of


def make() -> Panel:
    of_sweep = f"{OF_PROJECT} AND sweep_id = ${{sweep:sqlstring}} AND mapContains(summary, ${{metric:sqlstring}})"
    value = "summary[${metric:sqlstring}]"
    sign = "if('${goal}' = 'minimize', 1, -1)"
    return dashboard(
        "runstream-sweep",
        "Sweep ranking",
        "The best runs of a sweep by a metric's last value, NaN last, and how the parameters bear on it.",
        [
            TEAM,
            PROJECT,
            query_variable(
                "sweep",
                "Sweep",
                f"SELECT DISTINCT sweep_id FROM runs_now WHERE {OF_PROJECT} AND sweep_id != '' ORDER BY sweep_id LIMIT 500",
            ),
            query_variable(
                "metric",
                "Metric",
                f"""SELECT DISTINCT key FROM summary_now WHERE {OF_PROJECT} AND NOT startsWith(key, 'system/')
                AND number IS NOT NULL ORDER BY key LIMIT 1000""",
            ),
            choice("goal", "Goal", ["minimize", "maximize"]),
            query_variable(
                "parameter",
                "Parameter",
                f"""SELECT DISTINCT key FROM config_now WHERE {OF_PROJECT} AND number IS NOT NULL ORDER BY key
                LIMIT 500""",
            ),
            choice("k", "Best", ["10", "25", "100"]),
        ],
        [
            panel(
                "table",
                "Best runs",
                sql(
                    f"""SELECT row_number() OVER (ORDER BY isNaN(value), {sign} * value, run) AS place, value, run, name,
                    state, duration_s, config FROM (SELECT {value} AS value, run, name, state, duration_s,
                    toString(config) AS config FROM runs_now WHERE {of_sweep}) ORDER BY place LIMIT ${{k}}"""
                ),
                24,
                10,
                overrides=[unit_of("duration_s", "s")],
            ),
            panel(
                "timeseries",
                "Best so far",
                sql(
                    f"""SELECT created AS time, {sign} * min({sign} * value) OVER (ORDER BY created, run) AS best_so_far,
                    value AS this_run FROM (SELECT created, run, {value} AS value FROM runs_now
                    WHERE {of_sweep} AND $__timeFilter(created)) WHERE isFinite(value) ORDER BY time""",
                    "timeseries",
                ),
                12,
                9,
                custom={"showPoints": "always"},
            ),
            panel(
                "xychart",
                "Metric by parameter",
                sql(
                    f"""SELECT toFloat64OrNull(config[${{parameter:sqlstring}}]) AS parameter, {value} AS metric
                    FROM runs_now WHERE {of_sweep} AND isFinite({value}) AND parameter IS NOT NULL
                    ORDER BY parameter LIMIT 5000"""
                ),
                12,
                9,
                custom={"show": "points", "pointSize": {"fixed": 5}},
            ),
            panel(
                "table",
                "Correlation of numeric parameters with the metric",
                sql(
                    f"""SELECT key AS parameter, corr(number, value) AS correlation, count() AS runs FROM
                    (SELECT run, {value} AS value, config FROM runs_now WHERE {of_sweep} AND isFinite({value}))
                    ARRAY JOIN mapKeys(config) AS key, arrayMap(x -> toFloat64OrNull(x), mapValues(config)) AS number
                    WHERE number IS NOT NULL GROUP BY key HAVING runs > 2 ORDER BY abs(correlation) DESC, key"""
                ),
                12,
                9,
            ),
            panel(
                "piechart",
                "States",
                sql(
                    f"""SELECT state, count() AS runs FROM runs_now
                    WHERE {OF_PROJECT} AND sweep_id = ${{sweep:sqlstring}} GROUP BY state ORDER BY state"""
                ),
                12,
                9,
            ),
        ],
        since="now-30d",
    )
