"""Compares the records that a verdict names as missing with those that are missing, record by record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set
from typing import Any

from tests.faults.checker import Checker
from tests.faults.documents import Key
from tests.faults.expected import records
from tests.faults.truth import is_numbered
from tests.faults.workload import Attempt, Workload

_EPOCH_BITS = 40
_TABLES = ("points", "strings", "histograms", "tables", "media", "files", "run_fields", "alerts", "streams")

Place = tuple[int, int]
"""Epoch and number of a record: its version."""


def misnamed(
    checker: Checker, workload: Workload, run: str, verdict: dict[str, Any], torn: Set[str] = frozenset()
) -> list[str]:
    """Return a sentence for each attempt of which the verdict names a record that is stored, or does not name one that
    is missing. Of trainers of one thread: there the oracle knows each record's number. A record counts as there when a
    later one has rewritten all that it said. `torn`: writers whose last records were cut off with the end of their
    file; of these the verdict names the first."""
    attempts = [attempt for one in workload.streams if one.run == run for attempt in one.attempts if attempt.writer_id]
    epochs = checker.epochs(workload.project, [run])
    stored = _stored(checker, workload.project, run)
    logged = {attempt.writer_id: _numbered(attempt) for attempt in attempts}
    rewritten: dict[Key, Place] = {}
    for attempt in attempts:
        epoch = epochs.get(attempt.writer_id, 0)
        for number, (keys, _) in enumerate(logged[attempt.writer_id], start=1):
            for key in keys if (epoch, number) in stored else ():
                rewritten[key] = max(rewritten.get(key, (0, 0)), (epoch, number))
    problems = []
    for attempt in attempts:
        writer, epoch = attempt.writer_id, epochs.get(attempt.writer_id, 0)
        named = {
            number
            for gap in verdict["missing"]
            if gap["writer"] == writer
            for number in range(gap["first"], gap["last"] + 1)
        }
        told, untold = [], []
        for number, (keys, returned) in enumerate(logged[writer], start=1):
            place = (epoch, number)
            if number in named and place in stored:
                told.append(number)
            gone = any(rewritten.get(key, (0, 0)) < place for key in keys) or (not keys and number == 1)
            if returned and number not in named and place not in stored and gone:
                untold.append(number)
        if writer in torn and untold and named and untold[0] <= max(named) + 2:
            # The sender names one record for the tail, and writes the last word of the dead process behind it.
            untold = [number for number in untold if number < max(named)]
        if told or untold:
            problems.append(
                f"{run}, writer {writer}: of {len(logged[writer])} records {ranges(untold)} are missing and not named, "
                f"{ranges(told)} are named and stored; the verdict is {verdict}"
            )
    return problems


def ranges(numbers: list[int]) -> str:
    """As "1-3, 7"; "none"."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(f"{first}-{last}" if last > first else f"{first}" for first, last in found) or "none"


def _numbered(attempt: Attempt) -> list[tuple[list[Key], bool]]:
    return [([key for key, _ in one], returned) for one, returned in records(attempt) if not one or is_numbered(one)]


def _stored(checker: Checker, project: str, run: str) -> set[Place]:
    found: dict[str, set[Place]] = defaultdict(set)
    for table in _TABLES:
        rows = checker.ask(
            f"SELECT DISTINCT version FROM {table} WHERE project = {{project:String}} AND run = {{run:String}}",
            project=f"main/{project}",
            run=run,
        )
        found[table] = {(version >> _EPOCH_BITS, version & (1 << _EPOCH_BITS) - 1) for (version,) in rows}
    return set().union(*found.values())
