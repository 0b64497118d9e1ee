"""Runs in which steps were logged again, as an adversary would treat them, on the real engine: no row that is removed,
changed or added is called complete, merged or not; what users and crashes do stays complete."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from runstream_common.clickhouse.client import ArrowInserter, StorageUnavailableError, connect
from runstream_ingestor.writer.decode import DecodedBatch, decode
from runstream_ingestor.writer.flush import prepare, store
from runstream_ingestor.writer.replacement_tracker import ClickHouseReplacementTracker
from runstream_query.runs.verdict import completeness
from tests.integration.test_verdict_adversary import Case
from tests.support.ledger import Attempt, put
from tests.support.stack import ServiceStack


@pytest.fixture
async def case(embedded: ServiceStack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Case]:
    monkeypatch.setattr(completeness, "_RECHECK_AFTER_S", (0.0,))  # nobody writes meanwhile
    client = await connect(embedded.clickhouse.config)
    await client.command("SYSTEM STOP MERGES points")
    yield Case(client)
    await client.command("SYSTEM START MERGES points")
    await client.close()


def logged(attempt: Attempt, *steps: list[int]) -> list[DecodedBatch]:
    """Start, a batch for each list of steps, and finish."""
    batches = [attempt.start()]
    for some in steps:
        made = {name: [step + attempt.epoch / 8 for step in some] for name in ("loss", "acc")}
        batches.append(attempt.points(made, some))
    count = 2 * sum(map(len, steps))

    def fill(record: Any) -> None:
        record.finish.outcome, record.finish.records, record.finish.points = 1, attempt.records - 1, count

    return [*batches, attempt.document(fill)]


def with_epoch(decoded: DecodedBatch, epoch: int) -> DecodedBatch:
    """The same batch of the same writer, to which the gateway has given another epoch."""
    delivery = decoded.delivery
    message = replace(delivery.message, origin=replace(delivery.message.origin, epoch=epoch))
    return decode(replace(delivery, message=message))


def flushes_of(case: Case, shape: str) -> list[list[DecodedBatch]]:
    """How a run came to log steps again: flush by flush."""
    early = [list(range(40)), list(range(40, 80))]
    first, second, third = (case.attempt(epoch) for epoch in (1, 2, 3))
    match shape:
        case "a stream twice":
            return [logged(first, *early), logged(second, *early)]
        case "a second attempt from the middle":
            return [logged(first, *early), logged(second, list(range(30, 60)), list(range(60, 120)))]
        case "an older attempt that comes later":
            return [logged(second, list(range(30, 60))), logged(first, *early)]
        case "three attempts in one flush":
            return [[*logged(third, list(range(10, 50))), *logged(first, *early), *logged(second, list(range(20, 90)))]]
        case "a control database that was restored":
            batches = logged(first, *early)  # the last ones are stored, and their acks come to nobody
            return [batches, [with_epoch(decoded, 1001) for decoded in batches[2:]]]
        case "within a batch, and back and forth":
            return [logged(first, [1, 2, 3, 2, 1, 5], [5, 4, 3]), logged(second, [9, 5, 1, 1])]
        case _:
            raise AssertionError(shape)


SHAPES = (
    "a stream twice",
    "a second attempt from the middle",
    "an older attempt that comes later",
    "three attempts in one flush",
    "a control database that was restored",
    "within a batch, and back and forth",
)
_ONE = "step = (SELECT min(step) FROM points FINAL WHERE MINE) AND metric = 'acc'"
HARMS = {
    "a row added below a newer one": (
        "INSERT INTO points SELECT * REPLACE (version - 1 AS version, 9 AS value) FROM points FINAL "
        f"WHERE MINE AND {_ONE}",
        "surplus",
        f"DELETE FROM points WHERE MINE AND {_ONE} AND value = 9",
    ),
    "a row of its own added": (
        "INSERT INTO points SELECT project, run, metric, rank, 10000, value, time, version, run_month "
        f"FROM points FINAL WHERE MINE AND {_ONE}",
        "surplus",
        "DELETE FROM points WHERE MINE AND step = 10000",
    ),
    "a value changed": (
        f"INSERT INTO points SELECT * REPLACE (value + 1e-9 AS value) FROM points FINAL WHERE MINE AND {_ONE}",
        "surplus",
        f"DELETE FROM points WHERE MINE AND {_ONE} AND value != round(value, 6)",
    ),
    "a note removed": ("DELETE FROM replaced_points WHERE MINE", "missing", ""),
    "a row removed": (f"DELETE FROM points WHERE MINE AND {_ONE}", "missing", ""),
}
"""What is done, what the verdict must say, and how it is undone."""


@pytest.mark.parametrize("shape", SHAPES)
async def test_no_harm_to_rewritten_steps_is_called_complete(case: Case, shape: str) -> None:
    flushes = flushes_of(case, shape)
    for flush in flushes:
        await put(case.client, *flush)
    raw = (await case.client.query(f"SELECT count() FROM points WHERE project = 'main/{case.project}'")).first_row[0]
    verdict, found = await case.verdict()
    assert verdict == "complete" and found.rows_proved == found.rows_counted <= raw, found
    for flush in flushes if "restored" in shape else flushes[:1]:  # the ledger has the last word of one writer's batch
        await put(case.client, *flush)  # a replay, beside what replaced it
    assert (await case.verdict())[0] == "complete"
    await case.client.command("SYSTEM START MERGES points")
    await case.do("OPTIMIZE TABLE points FINAL")
    verdict, merged = await case.verdict()
    assert verdict == "complete" and merged.rows_proved == merged.rows_counted == found.rows_counted, merged
    for harm, (statement, named, undo) in HARMS.items():
        await case.do(statement)
        verdict, found = await case.verdict()
        if "note" in harm and "restored" in shape:
            assert verdict == "complete", "what was noted is merged away, and nobody expects it"
            continue
        print(f"{shape}, {harm} -> {verdict} {found.findings[0]}")
        assert verdict == "damaged" and any(named in one for one in found.findings), (harm, found)
        if undo:
            await case.do(undo)
            assert (await case.verdict())[0] == "complete", harm
        elif "note" in harm:
            for flush in flushes:  # brought back, as by `runstream repair`
                await put(case.client, *flush)
            assert (await case.verdict())[0] == "complete", harm


@pytest.mark.parametrize("reached", ["replaced_points", "points", "series"])
async def test_a_crash_between_note_rows_and_ledger_is_no_damage(case: Case, reached: str) -> None:
    """The second attempt's flush ends behind `reached`, the engine merges, and the flush comes again."""
    first, second = flushes_of(case, "a second attempt from the middle")
    await put(case.client, *first)
    real = ArrowInserter(case.client, tokens=False)
    stored: list[str] = []

    async def until(table: str, *rest: Any) -> None:
        if reached in stored:
            raise StorageUnavailableError("the writer died")
        await real(table, *rest)
        stored.append(table)

    async def die(error: Exception) -> None:
        raise error

    with pytest.raises(StorageUnavailableError):
        await store(prepare(second, await ClickHouseReplacementTracker(case.client).notes(second, die)), until, die)
    assert stored[0] == "replaced_points", "what is replaced is noted before it is"
    await case.client.command("SYSTEM START MERGES points")
    if reached == "replaced_points":
        await case.do("DELETE FROM points WHERE MINE AND step = 45 AND metric = 'acc'")
        assert (await case.verdict())[0] != "complete", "a note without its batch excuses nothing"
        await put(case.client, *first)
    await case.do("OPTIMIZE TABLE points FINAL")
    assert (await case.verdict())[0] != "complete", "the second attempt is not in the ledger"
    await put(case.client, *second)
    await case.do("OPTIMIZE TABLE points FINAL")
    verdict, found = await case.verdict()
    assert verdict == "complete" and found.rows_proved == found.rows_counted == 240, found


async def test_runs_from_before_the_notes_keep_their_words(case: Case) -> None:
    for flush in flushes_of(case, "a second attempt from the middle"):
        await put(case.client, *flush)
    await case.do("ALTER TABLE ledger UPDATE proved = 1 WHERE MINE")
    await case.do("DELETE FROM replaced_points WHERE MINE")
    await case.client.command("SYSTEM START MERGES points")
    await case.do("OPTIMIZE TABLE points FINAL")
    verdict, found = await case.verdict()
    assert verdict == "complete" and "100 rows were replaced" in found.findings[0], found
    await case.do("DELETE FROM points WHERE MINE AND step = 2")
    assert (await case.verdict())[0] == "damaged"
