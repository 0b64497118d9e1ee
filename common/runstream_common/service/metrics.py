"""The metrics catalogue as code: what each service measures, and which knob it tells you to turn.

`python -m runstream_common.service.metrics` prints it as Markdown; a test holds `docs/metrics.md` to it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ROWS = (1e2, 1e3, 1e4, 3e4, 1e5, 3e5, 1e6, 3e6)


@dataclass(frozen=True, slots=True)
class MetricSpec:
    name: str
    kind: str
    """counter | gauge | histogram"""
    meaning: str
    knob: str = ""
    """What to check or change when the value is not as it should be."""
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = _SECONDS

    @property
    def service(self) -> str:
        return self.name.split("_")[1]


CATALOGUE: tuple[MetricSpec, ...] = (
    MetricSpec("runstream_gateway_streams_open", "gauge", "Open streams.", "RUNSTREAM_GATEWAY_MAX_STREAMS"),
    MetricSpec(
        "runstream_gateway_streams_refused_total",
        "counter",
        "Refused streams, by status.",
        "unauthenticated: a user's key; resource_exhausted: add gateways",
        ("reason",),
    ),
    MetricSpec("runstream_gateway_batches_received_total", "counter", "Batches that passed the checks."),
    MetricSpec("runstream_gateway_bytes_received_total", "counter", "Bytes of the received batches."),
    MetricSpec("runstream_gateway_points_received_total", "counter", "Scalar points in the received batches."),
    MetricSpec("runstream_gateway_batches_acked_total", "counter", "Batches stored for good on the bus."),
    MetricSpec(
        "runstream_gateway_batches_rejected_total",
        "counter",
        "Batches that can never be accepted, by reason.",
        "a client with a bug: see the log line",
        ("reason",),
    ),
    MetricSpec(
        "runstream_gateway_stops_told_total",
        "counter",
        "Orders to stop a sweep's trial that were sent to streams, by cause.",
        "",
        ("cause",),
    ),
    MetricSpec("runstream_gateway_media_stored_total", "counter", "Files written to object storage, without repeats."),
    MetricSpec(
        "runstream_gateway_media_bytes_total", "counter", "Bytes of the stored files.", "RUNSTREAM_MAX_MEDIA_MB"
    ),
    MetricSpec(
        "runstream_gateway_publish_seconds",
        "histogram",
        "Time from the receipt of a batch until the bus has stored it (embedded: ClickHouse).",
        "the bus: brokers, or ClickHouse's inserts",
    ),
    MetricSpec(
        "runstream_writer_rows_written_total",
        "counter",
        "Inserted rows, by table; repeated inserts count too.",
        "",
        ("table",),
    ),
    MetricSpec("runstream_writer_batches_written_total", "counter", "Stored batches."),
    MetricSpec(
        "runstream_writer_insert_seconds", "histogram", "Duration of one flush into ClickHouse.", "ClickHouse's disks"
    ),
    MetricSpec(
        "runstream_writer_rows_per_insert",
        "histogram",
        "Points in one flush.",
        "if small: raise RUNSTREAM_WRITER_MAX_AGE_S",
        (),
        _ROWS,
    ),
    MetricSpec("runstream_writer_decode_seconds", "histogram", "Time to decode the batches of one poll."),
    MetricSpec(
        "runstream_writer_freshness_seconds",
        "histogram",
        "Time from the receipt of a flush's oldest batch by the gateway until it is stored.",
        "add writers, or resources for ClickHouse",
    ),
    MetricSpec(
        "runstream_writer_insert_retries_total", "counter", "Repeated inserts, with the same bytes.", "ClickHouse"
    ),
    MetricSpec(
        "runstream_writer_points_rejected_total",
        "counter",
        "Rejected points, by reason; the table `rejects` lists them.",
        "",
        ("reason",),
    ),
    MetricSpec(
        "runstream_writer_batches_put_aside_total",
        "counter",
        "Batches that became dead letters, by reason.",
        "runstream deadletter list; the log line names the run",
        ("reason",),
    ),
    MetricSpec(
        "runstream_writer_batches_deleted_total", "counter", "Delivered batches of deleted runs, which are dropped."
    ),
    MetricSpec(
        "runstream_writer_paused",
        "gauge",
        "1 while the writer fetches nothing, because ClickHouse does not keep up.",
        "ClickHouse",
    ),
    MetricSpec(
        "runstream_writer_lag_messages",
        "gauge",
        "Messages on the bus that this writer has not processed yet.",
        "add writers",
    ),
    MetricSpec(
        "runstream_query_requests_total",
        "counter",
        "Answered requests, by method and status.",
        "",
        ("method", "status"),
    ),
    MetricSpec(
        "runstream_query_seconds", "histogram", "Time from request to answer, by method.", "ClickHouse", ("method",)
    ),
    MetricSpec(
        "runstream_query_parts_rolled_total", "counter", "Parts of the table `points` whose long series were rolled up."
    ),
    MetricSpec(
        "runstream_query_parts_put_aside",
        "gauge",
        "Detached parts of tables, which the engine could not read; runs lack their rows.",
        "runstream repair --all --dry-run",
    ),
    MetricSpec(
        "runstream_query_roll_seconds",
        "histogram",
        "Time to roll up one part; until then its curves are read from points.",
        "RUNSTREAM_ROLLUPS_S",
    ),
    MetricSpec(
        "runstream_query_streams_open",
        "gauge",
        "Open streaming answers, by method.",
        "resource_exhausted among the requests: add instances",
        ("method",),
    ),
    MetricSpec(
        "runstream_query_places_taken",
        "gauge",
        "Places in use, by pool: questions (requests), runs, exports, sql, engine (queries to ClickHouse).",
        "RUNSTREAM_QUERY_IN_ALL, RUNSTREAM_QUERY_ENGINE, RUNSTREAM_SQL_IN_ALL",
        ("pool",),
    ),
    MetricSpec(
        "runstream_query_places_waiting",
        "gauge",
        "Requests that wait for a place, by pool.",
        "one user's load; or add instances",
        ("pool",),
    ),
    MetricSpec(
        "runstream_query_places_seconds",
        "histogram",
        "Time that requests waited for a place, by pool.",
        "as above",
        ("pool",),
    ),
    MetricSpec(
        "runstream_query_places_refused_total",
        "counter",
        "Refused requests, by pool and reason: too many of one user were waiting, or no place became free in time.",
        "waiting: a program that does not wait for answers; time: add instances",
        ("pool", "reason"),
    ),
    MetricSpec(
        "runstream_query_sweep_leases_total",
        "counter",
        "Answered requests for trials of sweeps, by verdict.",
        "wait, again: agents without work; use fewer, or raise max_parallel",
        ("verdict",),
    ),
    MetricSpec(
        "runstream_query_sweep_leases_together",
        "histogram",
        "Requests for trials that one transaction answered.",
        "",
        (),
        (1, 2, 4, 8, 16, 32, 64, 128, 256),
    ),
    MetricSpec(
        "runstream_query_sweep_trials_ended_total",
        "counter",
        "Ends of trials that agents reported, by outcome.",
        "failed: see the messages of the trials",
        ("outcome",),
    ),
    MetricSpec("runstream_query_sweep_trials_pruned_total", "counter", "Trials that early stopping ended."),
    MetricSpec(
        "runstream_query_sweep_suggestion_seconds",
        "histogram",
        "Time of a model's search for one trial, by method.",
        "use fewer parameters, or random search",
        ("method",),
    ),
    MetricSpec(
        "runstream_clickhouse_queries_total",
        "counter",
        "Queries of the embedded engine, by kind and outcome.",
        "",
        ("kind", "outcome"),
    ),
    MetricSpec("runstream_clickhouse_query_seconds", "histogram", "Duration of a query.", "--threads", ("kind",)),
    MetricSpec("runstream_clickhouse_bytes_in_total", "counter", "Bytes of request bodies."),
    MetricSpec("runstream_clickhouse_running", "gauge", "Running queries.", "--threads"),
)
_Instrument = TypeVar("_Instrument", Counter, Gauge, Histogram)


class Metrics:
    """The instruments of one process, made from the catalogue; `registry` is what `/metrics` shows."""

    def __init__(self, services: Iterable[str]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        wanted = set(services)
        self._instruments: dict[str, Counter | Gauge | Histogram] = {
            spec.name: _make(spec, self.registry) for spec in CATALOGUE if spec.service in wanted
        }
        self._labelled: dict[tuple[str, ...], Counter | Gauge | Histogram] = {}

    def counter(self, name: str, **labels: str) -> Counter:
        return self._of(name, Counter, labels)

    def gauge(self, name: str, **labels: str) -> Gauge:
        return self._of(name, Gauge, labels)

    def histogram(self, name: str, **labels: str) -> Histogram:
        return self._of(name, Histogram, labels)

    def _of(self, name: str, kind: type[_Instrument], labels: dict[str, str]) -> _Instrument:
        key = (name, kind.__name__, *labels, *labels.values())
        found = self._labelled.get(key)
        if found is None:
            found = self._labelled[key] = self._find(name, kind, labels)
        assert isinstance(found, kind)
        return found

    def _find(self, name: str, kind: type[_Instrument], labels: dict[str, str]) -> _Instrument:
        instrument = self._instruments[name]
        if not isinstance(instrument, kind):
            raise TypeError(f"{name} is no {kind.__name__}")
        return instrument.labels(**labels) if labels else instrument


def _make(spec: MetricSpec, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    if spec.kind == "histogram":
        return Histogram(spec.name, spec.meaning, spec.labels, registry=registry, buckets=spec.buckets)
    if spec.kind == "gauge":
        return Gauge(spec.name, spec.meaning, spec.labels, registry=registry)
    return Counter(spec.name, spec.meaning, spec.labels, registry=registry)


def markdown() -> str:
    """Return the catalogue as a Markdown page."""
    lines = ["# Metrics", "", "Generated by `python -m runstream_common.service.metrics`.", ""]
    lines += ["| name | kind | labels | meaning | what to change |", "|---|---|---|---|---|"]
    for spec in CATALOGUE:
        lines.append(f"| `{spec.name}` | {spec.kind} | {', '.join(spec.labels)} | {spec.meaning} | {spec.knob} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
