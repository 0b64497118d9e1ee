"""A page of runs reads the documents that it shows and that have changed, and no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from runstream_common.clickhouse.client import StorageRefusedError
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.runs.encoded_documents import DocumentReader, EncodedDocuments, Weights, make_listed
from runstream_query.runs.large_values import MOST_IN_PAGE, MOST_KEYS_IN_PAGE
from runstream_query.runs.selection import document_cache
from runstream_query.runs.selection.document_cache import DocumentCache

RUNS = [f"run-{number:02}" for number in range(50)]
HEAVY = MOST_IN_PAGE // 3


class Stored(DocumentReader):
    """Documents of so many bytes; like the engine, it refuses a bounded answer that is more than a page."""

    def __init__(self, sizes: Mapping[str, int], keys: int = 10, points: Sequence[str] = ()) -> None:
        self.sizes = dict(sizes)
        self.keys = keys
        self.points = points
        self.reads: list[list[str]] = []
        self.refused = 0
        self.weighed = 0
        self.meanwhile: Any = None

    async def read(self, runs: Sequence[str], *, bounded: bool) -> Mapping[str, EncodedDocuments]:
        if bounded and (
            sum(self.sizes[run] for run in runs) > 2 * MOST_IN_PAGE or self.keys * len(runs) > MOST_KEYS_IN_PAGE
        ):
            self.refused += 1
            raise StorageRefusedError("Limit for result exceeded", 396)
        self.reads.append(list(runs))
        if self.meanwhile is not None:
            self.meanwhile()
        return {
            run: EncodedDocuments(b"x" * self.sizes[run], self.keys, lasting=run not in self.points) for run in runs
        }

    async def weigh(self, runs: Sequence[str]) -> Weights:
        self.weighed += 1
        return {run: (self.keys, self.sizes[run]) for run in runs}

    def asked(self) -> tuple[int, int, list[str]]:
        """Return refused and weighed questions and the runs that were read since the last call."""
        found = self.refused, self.weighed, sorted(run for runs in self.reads for run in runs)
        self.refused = self.weighed = 0
        self.reads.clear()
        return found


async def test_an_ordinary_page_is_one_question_and_then_none() -> None:
    whole, stored = DocumentCache(), Stored(dict.fromkeys(RUNS, 1000))
    assert len(await whole.page(RUNS, stored)) == 50
    assert stored.asked() == (0, 0, RUNS)
    whole.changed(["run-07", "elsewhere"])
    assert len(await whole.page(RUNS, stored)) == 50
    assert stored.asked() == (0, 0, ["run-07"])
    assert len(await whole.page(RUNS, stored)) == 50
    assert stored.asked() == (0, 0, [])
    whole.clear()
    assert whole.bytes == 0 and len(await whole.page(RUNS, stored)) == 50
    assert stored.asked() == (0, 0, RUNS)


async def test_a_page_that_is_full_asks_nothing_about_the_runs_behind_it() -> None:
    whole, stored = DocumentCache(), Stored(dict.fromkeys(RUNS, HEAVY))
    assert len(await whole.page(RUNS, stored)) == 3
    assert stored.asked() == (1, 1, RUNS[:3])
    for _ in range(3):
        whole.changed(["run-01"])  # a run that logs
        assert len(await whole.page(RUNS, stored)) == 3
        assert stored.asked() == (0, 0, ["run-01"])
    whole.clear()
    assert len(await whole.page(RUNS, stored)) == 3
    assert stored.asked() == (0, 0, RUNS[:3]), "weights outlive the documents"
    assert len(await whole.page(RUNS[3:], stored)) == 3
    assert stored.asked() == (0, 0, RUNS[3:6])


async def test_a_wrong_weight_only_moves_the_end_of_a_page() -> None:
    whole, stored = DocumentCache(), Stored(dict.fromkeys(RUNS, 1000))
    await whole.page(RUNS, stored)
    stored.sizes |= dict.fromkeys(RUNS, MOST_IN_PAGE + 1)
    stored.asked()
    whole.changed(RUNS)
    assert len(await whole.page(RUNS, stored)) == 1, "one run is always carried"
    assert stored.asked() == (1, 1, RUNS[:1])
    stored.sizes |= dict.fromkeys(RUNS, 1000)
    whole.changed(RUNS)
    assert len(await whole.page(RUNS, stored)) == 1
    assert len(await whole.page(RUNS[1:], stored)) == 1
    assert len(await whole.page(RUNS[:2], stored)) == 2, "a run that was read has its weight of now"


async def test_other_refusals_are_the_caller_s() -> None:
    class Refusing(Stored):
        async def read(self, runs: Sequence[str], *, bounded: bool) -> Mapping[str, EncodedDocuments]:
            raise StorageRefusedError("unknown table", 60)

    with pytest.raises(StorageRefusedError, match="unknown table"):
        await DocumentCache().page(RUNS, Refusing({}))


async def test_nothing_is_kept_that_may_be_old() -> None:
    whole, stored = DocumentCache(), Stored(dict.fromkeys(RUNS, 1000), points=["run-03"])
    await whole.page(RUNS, stored)
    stored.asked()
    await whole.page(RUNS, stored)
    assert stored.asked() == (0, 0, ["run-03"]), "its summary changes with every point"
    whole.changed(["run-05"])
    stored.meanwhile = lambda: whole.changed(["run-05"])
    await whole.page(RUNS, stored)
    stored.meanwhile = None
    stored.asked()
    await whole.page(RUNS, stored)
    assert stored.asked() == (0, 0, ["run-03", "run-05"]), "rows came while it was read"


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_cache, "_MAX_BYTES", 10_000)
    monkeypatch.setattr(document_cache, "_MAX_WEIGHTS", 30)
    whole, stored = DocumentCache(), Stored(dict.fromkeys(RUNS, 1000))
    for run in RUNS:
        await whole.page([run], stored)
    assert 10_000 <= whole.bytes <= 15_000 and len(whole._weights) == 30
    stored.asked()
    await whole.page(RUNS[-10:], stored)
    assert stored.asked() == (0, 0, [])


async def test_documents_that_are_no_message_leave_the_other_runs_listed() -> None:
    facts = {"user": "u", "state": "running", "created_us": 5, "started_us": 5, "seen_us": 7, "finished_us": 0}
    rows = [{**facts, "run": run, "world_size": 1} for run in ("a", "b")]
    good = EncodedDocuments(pb.Run(name="well named", tags=["t"]).SerializeToString(), 1, lasting=True)
    broken, found = await make_listed("team/p", rows, [EncodedDocuments(b"\xff\xff", 1, lasting=True), good])
    assert (broken.id, broken.name, broken.project) == ("a", "a", "p") and broken.unreadable
    assert (found.id, found.name, found.user, list(found.tags)) == ("b", "well named", "u", ["t"])
