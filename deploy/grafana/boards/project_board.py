"""Project overview: runs, how they ended, what they log."""

from __future__ import annotations

from dashboard_model import OF_PROJECT, PROJECT, TEAM, Panel, dashboard, panel, sql, unit_of


def make() -> Panel:
    def count(title: str, condition: str) -> Panel:
        return panel(
            "stat",
            title,
            sql(f"SELECT countIf({condition}) AS runs FROM runs_now WHERE {OF_PROJECT}"),
            4,
            4,
            unit="short",
        )

    return dashboard(
        "runstream-project",
        "Project overview",
        "Runs of a project, how they ended, and what they log.",
        [TEAM, PROJECT],
        [
            count("Runs", "1"),
            count("Running", "state = 'running'"),
            count("Finished", "state = 'finished'"),
            count("Failed, crashed, preempted", "state IN ('failed', 'crashed', 'preempted')"),
            panel(
                "stat",
                "Points stored",
                sql(f"SELECT sum(points) AS points FROM ledger_now WHERE {OF_PROJECT}"),
                4,
                4,
                unit="short",
            ),
            panel(
                "stat",
                "Points put aside or given up",
                sql(
                    f"""SELECT (SELECT sum(points) FROM rejects_now WHERE {OF_PROJECT})
                    + (SELECT sum(dropped_points) FROM streams_now WHERE {OF_PROJECT}) AS points"""
                ),
                4,
                4,
                unit="short",
            ),
            panel(
                "timeseries",
                "Runs started",
                sql(
                    f"""SELECT $__timeInterval(created) AS time, state, count() AS runs FROM runs_now
                    WHERE {OF_PROJECT} AND $__timeFilter(created) GROUP BY time, state ORDER BY time""",
                    "timeseries",
                ),
                9,
                custom={"drawStyle": "bars", "fillOpacity": 80, "stacking": {"mode": "normal", "group": "A"}},
            ),
            panel(
                "timeseries",
                "Points a second",
                sql(
                    f"""SELECT $__timeInterval(received) AS time, sum(points) / $__interval_s AS points_per_s
                    FROM ledger_now WHERE {OF_PROJECT} AND $__timeFilter(received) GROUP BY time ORDER BY time""",
                    "timeseries",
                ),
                9,
                unit="cps",
            ),
            panel(
                "piechart",
                "States",
                sql(f"SELECT state, count() AS runs FROM runs_now WHERE {OF_PROJECT} GROUP BY state ORDER BY state"),
                6,
            ),
            panel(
                "table",
                "Newest runs",
                sql(
                    f"""SELECT created, run, name, state, user, run_group, arrayStringConcat(tags, ', ') AS tags,
                    world_size, duration_s, last_seen FROM runs_now WHERE {OF_PROJECT} ORDER BY created DESC LIMIT 100"""
                ),
                24,
                10,
                overrides=[unit_of("duration_s", "s")],
            ),
            panel(
                "table",
                "Metrics",
                sql(
                    f"""SELECT metric, count() AS runs, min(last_value) AS lowest, max(last_value) AS highest,
                    max(last_time) AS last_logged FROM metrics_now WHERE {OF_PROJECT} AND NOT startsWith(metric, 'system/')
                    GROUP BY metric ORDER BY runs DESC, metric LIMIT 200"""
                ),
                12,
                9,
            ),
            panel(
                "table",
                "Alerts",
                sql(
                    f"""SELECT time, run, rank, level, title, text FROM alerts_now
                    WHERE {OF_PROJECT} AND $__timeFilter(time) ORDER BY time DESC LIMIT 100"""
                ),
                12,
                9,
            ),
        ],
        since="now-7d",
    )
