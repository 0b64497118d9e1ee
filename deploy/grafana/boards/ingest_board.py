"""Ingest health, from Prometheus and from the ledger."""

from __future__ import annotations

from dashboard_model import Panel, dashboard, panel, prom, sql

RATE = "$__rate_interval"


def make() -> Panel:
    def rate(title: str, names: dict[str, str], unit: str, width: int = 8) -> Panel:
        """`names`: legend by metric."""
        letters = "ABCDEF"
        targets = [
            prom(f"sum(rate({name}[{RATE}]))", legend, letters[number])
            for number, (name, legend) in enumerate(names.items())
        ]
        return panel("timeseries", title, targets, width, unit=unit)

    def quantiles(title: str, name: str, unit: str = "s", by: str = "", width: int = 8) -> Panel:
        group = f"le, {by}" if by else "le"
        legend = f" {{{{{by}}}}}" if by else ""
        targets = [
            prom(
                f"histogram_quantile({share}, sum by ({group}) (rate({name}_bucket[{RATE}])))", f"p{text}{legend}", ref
            )
            for share, text, ref in ((0.5, "50", "A"), (0.95, "95", "B"), (0.99, "99", "C"))
        ]
        return panel("timeseries", title, targets, width, unit=unit)

    recent = "$__timeFilter(received)"
    return dashboard(
        "runstream-ingest",
        "Ingest health",
        "From the gateway to ClickHouse: by what the services measure, and by the ledger of what is stored.",
        [],
        [
            rate(
                "Points in",
                {
                    "runstream_gateway_points_received_total": "received",
                    'runstream_writer_rows_written_total{table="points"}': "written",
                },
                "cps",
            ),
            rate(
                "Batches",
                {
                    "runstream_gateway_batches_received_total": "received",
                    "runstream_gateway_batches_acked_total": "acked",
                    "runstream_writer_batches_written_total": "written",
                },
                "cps",
            ),
            panel("timeseries", "Streams open", prom("sum(runstream_gateway_streams_open)", "open"), 8),
            quantiles("Received to stored on the bus", "runstream_gateway_publish_seconds"),
            quantiles("Freshness: received to in ClickHouse", "runstream_writer_freshness_seconds"),
            quantiles("One flush into ClickHouse", "runstream_writer_insert_seconds"),
            panel(
                "timeseries",
                "Lag of the writers, messages",
                [
                    prom("sum(runstream_writer_lag_messages)", "lag"),
                    prom("sum(runstream_writer_paused)", "writers that wait for ClickHouse", "B"),
                ],
                8,
            ),
            panel(
                "timeseries",
                "Refused, put aside, repeated",
                [
                    prom(
                        f"sum by (reason) (rate(runstream_gateway_batches_rejected_total[{RATE}]))",
                        "refused: {{reason}}",
                    ),
                    prom(
                        f"sum by (reason) (rate(runstream_gateway_streams_refused_total[{RATE}]))",
                        "stream: {{reason}}",
                        "B",
                    ),
                    prom(
                        f"sum by (reason) (rate(runstream_writer_points_rejected_total[{RATE}]))",
                        "points: {{reason}}",
                        "C",
                    ),
                    prom(
                        f"sum by (reason) (rate(runstream_writer_batches_put_aside_total[{RATE}]))",
                        "aside: {{reason}}",
                        "D",
                    ),
                    prom(f"sum(rate(runstream_writer_insert_retries_total[{RATE}]))", "inserts repeated", "E"),
                ],
                8,
            ),
            quantiles("Questions", "runstream_query_seconds", by="method"),
            panel(
                "timeseries",
                "Questions a second, by status",
                prom(f"sum by (status) (rate(runstream_query_requests_total[{RATE}]))", "{{status}}"),
                12,
                unit="reqps",
            ),
            panel(
                "timeseries",
                "Ledger: points a second",
                sql(
                    f"""SELECT $__timeInterval(received) AS time, project, sum(points) / $__interval_s AS points_per_s
                    FROM ledger_now WHERE {recent} GROUP BY time, project ORDER BY time, project""",
                    "timeseries",
                ),
                12,
                unit="cps",
            ),
            panel(
                "timeseries",
                "Ledger: received to written",
                sql(
                    f"""SELECT $__timeInterval(received) AS time,
                    quantile(0.5)(dateDiff('millisecond', received, written)) / 1000 AS p50,
                    quantile(0.99)(dateDiff('millisecond', received, written)) / 1000 AS p99,
                    max(dateDiff('millisecond', received, written)) / 1000 AS longest
                    FROM ledger_now WHERE {recent} GROUP BY time ORDER BY time""",
                    "timeseries",
                ),
                12,
                unit="s",
            ),
            panel(
                "table",
                "Put aside, by reason",
                sql(
                    """SELECT project, run, reason, sum(points) AS points, max(written) AS last FROM rejects_now
                    WHERE $__timeFilter(written) GROUP BY project, run, reason ORDER BY last DESC LIMIT 100"""
                ),
                12,
            ),
            panel(
                "table",
                "Processes that are silent or gave points up",
                sql(
                    """SELECT project, run, rank, host, state, last_seen, dropped_points FROM streams_now
                    WHERE $__timeFilter(last_seen) AND (state = 'crashed' OR dropped_points > 0)
                    ORDER BY last_seen DESC LIMIT 100"""
                ),
                24,
            ),
        ],
        since="now-6h",
    )
