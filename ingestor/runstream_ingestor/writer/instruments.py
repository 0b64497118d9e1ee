"""The writer's own measurements, by the names of the metrics catalogue."""

from __future__ import annotations

from collections.abc import Mapping

from runstream_common.service.metrics import Metrics


class WriterInstruments:
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def decoded(self, seconds: float) -> None:
        self._metrics.histogram("runstream_writer_decode_seconds").observe(seconds)

    def stored(
        self,
        rows: Mapping[str, int],
        batches: int,
        seconds: float,
        oldest_s: float,
        rejected: Mapping[str, int],
    ) -> None:
        """Count a flush that is in ClickHouse. `oldest_s`: the age of its oldest batch, from gateway to stored."""
        for table, count in rows.items():
            self._metrics.counter("runstream_writer_rows_written_total", table=table).inc(count)
        for reason, points in rejected.items():
            self._metrics.counter("runstream_writer_points_rejected_total", reason=reason).inc(points)
        self._metrics.counter("runstream_writer_batches_written_total").inc(batches)
        self._metrics.histogram("runstream_writer_insert_seconds").observe(seconds)
        self._metrics.histogram("runstream_writer_rows_per_insert").observe(rows.get("points", 0))
        self._metrics.histogram("runstream_writer_freshness_seconds").observe(oldest_s)

    def dead_letter(self, reason: str) -> None:
        self._metrics.counter("runstream_writer_batches_put_aside_total", reason=reason).inc()

    def retried(self) -> None:
        self._metrics.counter("runstream_writer_insert_retries_total").inc()

    def paused(self, paused: bool) -> None:
        self._metrics.gauge("runstream_writer_paused").set(int(paused))

    def deleted(self) -> None:
        self._metrics.counter("runstream_writer_batches_deleted_total").inc()

    def lag(self, messages: int) -> None:
        self._metrics.gauge("runstream_writer_lag_messages").set(messages)
