"""What must be stored once all is sent, by the oracle alone."""

from __future__ import annotations

import math
import signal
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults import documents
from tests.faults.documents import Item, Key
from tests.faults.truth import ENOUGH, records_of, worker_records
from tests.faults.workload import Attempt, Workload
from tests.support.counters import read_counters

_LAST = 1 << 30
"""The epoch of an attempt that the ledger does not know."""
_OUTCOMES = {
    0: "finished",
    -signal.SIGKILL: "crashed",
    -signal.SIGTERM: "preempted",
    128 + signal.SIGTERM: "preempted",
}


@dataclass(slots=True)
class Expected:
    """The surviving value of each key, and what may be there instead: of records whose `log()` was cut off."""

    values: dict[Key, Any] = field(default_factory=dict)
    allowed: dict[Key, set[Any]] = field(default_factory=dict)

    def add(self, items: Iterable[Item], *, returned: bool, lossy: bool) -> None:
        for key, value in items:
            stored = bits(value)
            if not returned:
                self.allowed.setdefault(key, set()).add(stored)
                continue
            if lossy and key in self.values:
                self.allowed.setdefault(key, set()).add(self.values[key])
            elif not lossy:
                self.allowed.pop(key, None)
            self.values[key] = stored


def bits(value: Any) -> Any:
    """A number as its bytes: NaN equals NaN, and 0.0 is not -0.0."""
    if not isinstance(value, float):
        return value
    return b"nan" if math.isnan(value) else struct.pack("<d", value)


def expect(workload: Workload, epochs: Mapping[str, int], *, lossy: bool = False) -> Expected:
    """What must be stored. Attempts count in the order of their epochs, `epochs` by writer. `lossy`: some records are
    known to be destroyed, so that what they had overwritten may be there."""
    expected = Expected()
    for stream in workload.streams:
        known = [attempt for attempt in stream.attempts if attempt.writer_id]
        for attempt in sorted(known, key=lambda one: epochs.get(one.writer_id, _LAST)):
            for items, returned in records(attempt):
                expected.add(items, returned=returned, lossy=lossy)
            for items, returned in _worker_records(attempt):
                expected.add(items, returned=returned, lossy=lossy)
            if not lossy:
                expected.add(_end(attempt), returned=True, lossy=lossy)
                expected.add(_end_before_kill(attempt), returned=False, lossy=lossy)
        for attempt in stream.attempts:
            if not attempt.writer_id:  # killed within `init()`, after it may have described the run
                expected.add(documents.of_init(attempt.order), returned=False, lossy=lossy)
    return expected


def records(attempt: Attempt) -> Iterator[tuple[list[Item], bool]]:
    """All of an attempt's records that may be in its spool, and whether they must be: thread by thread, in the order of
    each thread's records. The first is the start."""
    order, writer = attempt.order, attempt.writer_id
    yield list(documents.of_init(order)), True
    for thread in range(order.threads):
        submitted, returned = attempt.counts(thread)
        for index in range(submitted):
            for record in records_of(order, writer, thread, index):
                yield record, index < returned


def _worker_records(attempt: Attempt) -> Iterator[tuple[list[Item], bool]]:
    for worker in range(attempt.order.workers):
        submitted, returned = attempt.worker_counts(worker)
        for index in range(submitted):
            for record in worker_records(attempt.order, worker, index):
                yield record, index < returned


def _end_before_kill(attempt: Attempt) -> Iterator[Item]:
    """Of a trainer that was killed when it had logged all: its finish record may have been written."""
    counts = [attempt.counts(thread) for thread in range(attempt.order.threads)]
    told = read_counters(Path(attempt.order.oracle).with_name(ENOUGH))[0]
    logged_all = all(
        submitted == returned and (told or returned >= attempt.order.rows) for submitted, returned in counts
    )
    if attempt.process.poll() == -signal.SIGKILL and logged_all:
        points = sum(returned for _, returned in counts) * attempt.order.metrics
        yield ("ends", attempt.order.run, attempt.writer_id), ("finished", points)


def _end(attempt: Attempt) -> Iterator[Item]:
    """The finish record: how it ended, and with how many points where that is certain."""
    status = attempt.process.poll()
    if status is None:
        return
    counts = [attempt.counts(thread) for thread in range(attempt.order.threads)]
    certain = status == 0 and all(submitted == returned for submitted, returned in counts)
    points = sum(returned for _, returned in counts) * attempt.order.metrics
    outcome = _OUTCOMES.get(status, "failed")
    yield ("ends", attempt.order.run, attempt.writer_id), (outcome, points if certain else None)
