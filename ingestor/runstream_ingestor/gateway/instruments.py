"""The gateway's own measurements, by the names of the metrics catalogue."""

from __future__ import annotations

from runstream_common.service.metrics import Metrics


class GatewayInstruments:
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def stream_opened(self) -> None:
        self._metrics.gauge("runstream_gateway_streams_open").inc()

    def stream_closed(self) -> None:
        self._metrics.gauge("runstream_gateway_streams_open").dec()

    def refused(self, reason: str) -> None:
        """Count a stream that was not let in."""
        self._metrics.counter("runstream_gateway_streams_refused_total", reason=reason).inc()

    def received(self, size: int, points: int) -> None:
        self._metrics.counter("runstream_gateway_batches_received_total").inc()
        self._metrics.counter("runstream_gateway_bytes_received_total").inc(size)
        self._metrics.counter("runstream_gateway_points_received_total").inc(points)

    def acked(self, seconds: float) -> None:
        """Count an acked batch. `seconds`: from received to stored for good on the bus."""
        self._metrics.counter("runstream_gateway_batches_acked_total").inc()
        self._metrics.histogram("runstream_gateway_publish_seconds").observe(seconds)

    def rejected(self, reason: str) -> None:
        self._metrics.counter("runstream_gateway_batches_rejected_total", reason=reason).inc()

    def stop_told(self, cause: str) -> None:
        """Count a run that was told to stop."""
        self._metrics.counter("runstream_gateway_stops_told_total", cause=cause).inc()

    def media_stored(self, size: int) -> None:
        self._metrics.counter("runstream_gateway_media_stored_total").inc()
        self._metrics.counter("runstream_gateway_media_bytes_total").inc(size)
