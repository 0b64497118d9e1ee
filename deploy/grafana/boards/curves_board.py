"""Run curves: by step, by time, by rank."""

from __future__ import annotations

from dashboard_model import BY_SERIES, OF_RUN, PROJECT, RUNS, TEAM, Panel, dashboard, panel, query_variable, sql


def make() -> Panel:
    where = f"{OF_RUN} AND metric IN (${{metric:sqlstring}}) AND rank IN (${{rank:csv}})"
    buckets = f"""WITH (SELECT greatest(intDiv(max(last_step), 1000), 1) FROM series_now WHERE {where}) AS width
        SELECT intDiv(step, width) * width AS step, concat(run, ' ', metric) AS series"""
    return dashboard(
        "runstream-curves",
        "Run curves",
        "Metrics of runs by step and by time; a spike of one step is in its bucket's minimum or maximum.",
        [
            TEAM,
            PROJECT,
            RUNS,
            query_variable(
                "metric",
                "Metrics",
                f"""SELECT DISTINCT metric FROM series_now WHERE {OF_RUN} AND NOT startsWith(metric, 'system/')
                ORDER BY metric LIMIT 1000""",
                many=True,
            ),
            query_variable(
                "rank",
                "Ranks",
                f"SELECT DISTINCT toString(rank) AS rank FROM series_now WHERE {OF_RUN} ORDER BY toUInt32(rank) LIMIT 1024",
                many=True,
                everything=True,
            ),
        ],
        [
            panel(
                "trend",
                "Mean over ranks, by step",
                sql(
                    f"""{buckets}, avg(value) AS value FROM points_now WHERE {where} AND isFinite(points_now.value)
                    GROUP BY step, series ORDER BY step, series"""
                ),
                24,
                11,
                transformations=BY_SERIES,
            ),
            panel(
                "trend",
                "Highest of all ranks and steps of a bucket",
                sql(
                    f"""{buckets}, max(value) AS value FROM points_now WHERE {where} AND isFinite(points_now.value)
                    GROUP BY step, series ORDER BY step, series"""
                ),
                12,
                9,
                transformations=BY_SERIES,
            ),
            panel(
                "trend",
                "Lowest",
                sql(
                    f"""{buckets}, min(value) AS value FROM points_now WHERE {where} AND isFinite(points_now.value)
                    GROUP BY step, series ORDER BY step, series"""
                ),
                12,
                9,
                transformations=BY_SERIES,
            ),
            panel(
                "timeseries",
                "By time, one curve a rank",
                sql(
                    f"""SELECT $__timeInterval(time) AS at, concat(run, ' ', metric, ' rank ', toString(rank)) AS series,
                    avg(value) AS value FROM points_now WHERE {where} AND isFinite(points_now.value) AND $__timeFilter(time)
                    GROUP BY at, series ORDER BY at, series""",
                    "timeseries",
                ),
                24,
                10,
            ),
            panel(
                "table",
                "Last values",
                sql(
                    f"""SELECT run, metric, rank, last_step, last_value, last_time FROM series_now WHERE {where}
                    ORDER BY run, metric, rank LIMIT 1000"""
                ),
                12,
                9,
            ),
            panel(
                "table",
                "NaN and infinities",
                sql(
                    f"""SELECT run, metric, rank, count() AS points, min(step) AS first_step FROM points_now
                    WHERE {where} AND NOT isFinite(points_now.value) GROUP BY run, metric, rank ORDER BY first_step LIMIT 100"""
                ),
                12,
                9,
            ),
            panel(
                "table",
                "Config",
                sql(f"SELECT key, run, text FROM config_now WHERE {OF_RUN} ORDER BY key, run LIMIT 2000"),
                12,
                9,
                transformations=[
                    {
                        "id": "groupingToMatrix",
                        "options": {
                            "columnField": "run",
                            "rowField": "key",
                            "valueField": "text",
                            "emptyValue": "empty",
                        },
                    }
                ],
            ),
            panel(
                "table",
                "Console, newest lines",
                sql(
                    f"""SELECT time, run, rank, output, text FROM console_now WHERE {OF_RUN} AND $__timeFilter(time)
                    ORDER BY time DESC, line DESC LIMIT 200"""
                ),
                12,
                9,
            ),
        ],
    )
