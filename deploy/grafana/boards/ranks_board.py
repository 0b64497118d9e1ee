"""Ranks and stragglers."""

from __future__ import annotations

from dashboard_model import OF_RUN, PROJECT, RUN, TEAM, Panel, dashboard, panel, query_variable, sql, unit_of


def make() -> Panel:
    steps = f"{OF_RUN} AND NOT startsWith(metric, 'system/')"
    return dashboard(
        "runstream-ranks",
        "Ranks and stragglers",
        "How far each rank is, how long its steps take, and who went NaN first.",
        [
            TEAM,
            PROJECT,
            RUN,
            query_variable(
                "metric",
                "Metric",
                f"""SELECT DISTINCT metric FROM series_now WHERE {OF_RUN} AND NOT startsWith(metric, 'system/')
                ORDER BY metric LIMIT 1000""",
            ),
        ],
        [
            panel(
                "stat",
                "Ranks heard of",
                sql(f"SELECT uniqExact(rank) AS ranks FROM series_now WHERE {steps}"),
                4,
                5,
            ),
            panel(
                "stat",
                "Steps between first and last rank",
                sql(
                    f"""SELECT max(at_step) - min(at_step) AS steps FROM
                    (SELECT rank, max(last_step) AS at_step FROM series_now WHERE {steps} GROUP BY rank)"""
                ),
                5,
                5,
            ),
            panel(
                "stat",
                "Seconds since the quietest rank logged",
                sql(
                    f"""SELECT max(silent_s) AS seconds FROM (SELECT rank,
                    dateDiff('second', max(last_time), now64(6)) AS silent_s FROM series_now WHERE {steps} GROUP BY rank)"""
                ),
                5,
                5,
                unit="s",
            ),
            panel(
                "table",
                "First NaN or infinity, by rank",
                sql(
                    f"""SELECT rank, metric, min(step) AS first_step, min(time) AS at FROM points_now
                    WHERE {steps} AND NOT isFinite(value) GROUP BY rank, metric ORDER BY first_step, rank LIMIT 50"""
                ),
                10,
                5,
            ),
            panel(
                "barchart",
                "Steps behind the foremost rank",
                sql(
                    f"""WITH at AS (SELECT rank, max(last_step) AS at_step FROM series_now WHERE {steps} GROUP BY rank)
                    SELECT concat('rank ', toString(rank)) AS who, (SELECT max(at_step) FROM at) - at_step AS steps_behind
                    FROM at ORDER BY steps_behind DESC, rank LIMIT 50"""
                ),
                12,
                9,
                options={"xField": "who"},
            ),
            panel(
                "table",
                "Slowest ranks: seconds a step, and against the median",
                sql(
                    f"""WITH pace AS (SELECT rank, dateDiff('millisecond', min(time), max(time)) / 1000
                    / greatest(max(step) - min(step), 1) AS step_s FROM points_now
                    WHERE {OF_RUN} AND metric = ${{metric:sqlstring}} GROUP BY rank)
                    SELECT rank, step_s, step_s / greatest((SELECT median(step_s) FROM pace), 1e-9) AS times_the_median
                    FROM pace ORDER BY step_s DESC, rank LIMIT 50"""
                ),
                12,
                9,
                overrides=[unit_of("step_s", "s")],
            ),
            panel(
                "timeseries",
                "Steps a second, by rank",
                sql(
                    f"""SELECT $__timeInterval(time) AS at, concat('rank ', toString(rank)) AS who,
                    uniqExact(step) / $__interval_s AS steps_per_s FROM points_now
                    WHERE {OF_RUN} AND metric = ${{metric:sqlstring}} AND $__timeFilter(time)
                    GROUP BY at, who ORDER BY at, who""",
                    "timeseries",
                ),
                12,
                9,
            ),
            panel(
                "trend",
                "Spread of the metric over the ranks, by step",
                sql(
                    f"""WITH (SELECT greatest(intDiv(max(last_step), 500), 1) FROM series_now
                    WHERE {OF_RUN} AND metric = ${{metric:sqlstring}}) AS width
                    SELECT intDiv(step, width) * width AS step, min(value) AS lowest, quantile(0.05)(value) AS p05,
                    quantile(0.5)(value) AS p50, quantile(0.95)(value) AS p95, max(value) AS highest FROM points_now
                    WHERE {OF_RUN} AND metric = ${{metric:sqlstring}} AND isFinite(value) GROUP BY step ORDER BY step"""
                ),
                12,
                9,
            ),
            panel(
                "table",
                "Processes",
                sql(
                    f"""SELECT rank, kind, host, state, started, last_seen, finished, exit_code, points, dropped_points
                    FROM streams_now WHERE {OF_RUN} ORDER BY rank, attempt LIMIT 2000"""
                ),
                24,
                9,
            ),
        ],
        since="now-6h",
    )
