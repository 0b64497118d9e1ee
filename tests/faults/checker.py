"""Compares what was logged with what is stored: missing, doubled, wrong; and what is derived with its recomputation."""

from __future__ import annotations

import math
import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from runstream.api import Api, ApiError
from tests.faults.truth import key_of, note_of, step_of, value_of
from tests.faults.workload import Workload

Key = tuple[str, str, int, int]
"""run, metric, rank, step"""
Bits = bytes | str


@dataclass(slots=True)
class Findings:
    points: int = 0
    missing: int = 0
    doubled: int = 0
    wrong: int = 0
    incomplete: int = 0
    """Runs whose verdict is not `complete` although all is sent."""
    false_complete: int = 0
    """Runs that are called `complete` although a value is missing or wrong."""
    lacking: set[str] = field(default_factory=set)
    """Runs of which a value is missing or wrong."""
    examples: list[str] = field(default_factory=list)
    all_missing: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.missing or self.doubled or self.wrong or self.incomplete or self.false_complete)

    def note(self, kind: str, text: str) -> None:
        setattr(self, kind, getattr(self, kind) + 1)
        if kind == "missing":
            self.all_missing.append(text)
        if len(self.examples) < 12:
            self.examples.append(f"{kind}: {text}")


@dataclass(slots=True)
class Expected:
    """The surviving value of each key, and what may be there instead: of records whose `log()` was cut off."""

    values: dict[Key, Bits] = field(default_factory=dict)
    allowed: dict[Key, set[Bits]] = field(default_factory=dict)


def bits(value: float | str) -> Bits:
    if isinstance(value, str):
        return value
    return b"nan" if math.isnan(value) else struct.pack("<d", value)


def expect(workload: Workload, epochs: dict[str, int], *, lossy: bool = False) -> Expected:
    """What must be stored once all is sent. Attempts count in the order of their epochs, `epochs` by writer.
    `lossy`: some records are known to be destroyed, so that what they had overwritten may be there."""
    expected = Expected()
    for stream in workload.streams:
        known = [
            attempt for attempt in stream.attempts if any(attempt.counts(n)[0] for n in range(attempt.order.threads))
        ]
        for attempt in sorted(known, key=lambda one: epochs.get(one.writer_id, 1 << 30)):
            order = attempt.order
            for thread in range(order.threads):
                submitted, returned = attempt.counts(thread)
                for index in range(submitted):
                    step = step_of(order, index)
                    row: list[tuple[str, float | str]] = [
                        (f"metric {metric}", value_of(order.attempt, index, metric)) for metric in range(order.metrics)
                    ]
                    if index % 50 == 0:
                        row.append(("note", note_of(order.attempt, index)))
                    for name, value in row:
                        key = (order.run, key_of(thread, name), order.rank, step)
                        _expect_one(expected, key, value, returned=index < returned, lossy=lossy)
    return expected


def _expect_one(expected: Expected, key: Key, value: float | str, *, returned: bool, lossy: bool) -> None:
    if not returned:
        expected.allowed.setdefault(key, set()).add(bits(value))
        return
    if lossy and key in expected.values:
        expected.allowed.setdefault(key, set()).add(expected.values[key])
    elif not lossy:
        expected.allowed.pop(key, None)
    expected.values[key] = bits(value)


class Checker:
    """Asks ClickHouse directly; and the query service for its verdict."""

    def __init__(self, client: Any, api: Api) -> None:
        self._client = client
        self._api = api
        self.plain = False
        """`points` is a table that keeps every row: a sabotage."""

    def epochs(self, project: str, runs: list[str]) -> dict[str, int]:
        rows = self._rows(
            "SELECT writer, max(epoch) FROM ledger FINAL WHERE project = {project:String} "
            "AND run IN {runs:Array(String)} GROUP BY writer",
            project=f"main/{project}",
            runs=runs,
        )
        return dict(rows)

    def count(self, project: str, runs: list[str]) -> int:
        """Distinct keys stored."""
        where = "FINAL WHERE project = {project:String} AND run IN {runs:Array(String)}"
        parameters = {"project": f"main/{project}", "runs": runs}
        points = self._rows(f"SELECT count() FROM points {where}", **parameters)[0][0]
        return int(points + self._rows(f"SELECT count() FROM strings {where}", **parameters)[0][0])

    def compare(self, workload: Workload, *, lossy: bool = False) -> Findings:
        """At rest: everything is sent, the lag is nought."""
        project, runs = workload.project, workload.runs
        expected = expect(workload, self.epochs(project, runs), lossy=lossy)
        findings = Findings()
        stored = self._stored(project, runs, findings)
        findings.points = len(stored)
        for key, value in expected.values.items():
            if key not in stored:
                findings.lacking.add(key[0])
                findings.note("missing", f"{key}")
            elif stored[key] != value and stored[key] not in expected.allowed.get(key, ()):
                findings.lacking.add(key[0])
                findings.note("wrong", f"{key} is {stored[key]!r}, not {value!r}")
        for key, found in stored.items():
            if key not in expected.values and found not in expected.allowed.get(key, ()):
                findings.note("wrong", f"{key} was never logged")
        self._check_series(project, runs, findings)
        return findings

    def check_verdicts(self, workload: Workload, findings: Findings) -> None:
        """The product's own proof must come to the same."""
        for run in workload.runs:
            if not any(stream.run == run and any(a.writer_id for a in stream.attempts) for stream in workload.streams):
                continue
            try:
                found = self._api.run(f"{workload.project}/{run}").completeness
            except ApiError as error:
                findings.note("incomplete", f"{run}: {error}")
                continue
            if found["verdict"] == "complete" and run in findings.lacking:
                findings.note("false_complete", f"{run} lacks values: {found}")
            elif found["verdict"] != "complete" and run not in findings.lacking:
                findings.note("incomplete", f"{run}: {found}")

    def digest(self, project: str) -> dict[str, tuple[int, int]]:
        """Of every answer about a project's surviving rows, by table: rows and a hash, the same after any replay."""
        found = {}
        for table, columns in (
            ("points", "run, metric, rank, step, reinterpretAsUInt64(value), time, version"),
            ("strings", "run, key, rank, step, value, time, version"),
            ("run_fields", "run, section, key, value, version"),
            ("streams", "run, writer, event, rank, epoch, outcome, points, records, version"),
            ("ledger", "run, writer, batch, first_record, last_record, points, rejected, checksum"),
        ):
            found[table] = self._rows(
                f"SELECT count(), groupBitXor(cityHash64({columns})) FROM {table} FINAL "
                "WHERE project = {project:String}",
                project=f"main/{project}",
            )[0]
        found["series"] = self._rows(
            "SELECT count(), groupBitXor(cityHash64(run, metric, rank, newest.1, newest.2, "
            "reinterpretAsUInt64(newest.3))) "
            "FROM (SELECT run, metric, rank, max(last) AS newest FROM series WHERE project = {project:String} "
            "GROUP BY run, metric, rank)",
            project=f"main/{project}",
        )[0]
        return found

    def _stored(self, project: str, runs: list[str], findings: Findings) -> dict[Key, Bits]:
        stored: dict[Key, Bits] = {}
        for table, column in (("points", "metric"), ("strings", "key")):
            parameters = {"project": f"main/{project}", "runs": runs}
            where = "WHERE project = {project:String} AND run IN {runs:Array(String)}"
            finals = self._rows(f"SELECT run, {column}, rank, step, value FROM {table} FINAL {where}", **parameters)
            found: Counter[Key] = Counter()
            for run, metric, rank, step, value in finals:
                key = (run, metric, rank, step)
                found[key] += 1
                stored[key] = bits(value)
            for key, count in found.items():
                if count > 1:
                    findings.note("doubled", f"{key} {count} times in {table} FINAL")
            exact = "reinterpretAsUInt64(value)" if table == "points" else "value"
            top = f"max(version) OVER (PARTITION BY run, {column}, rank, step) AS top"
            newest = self._rows(
                f"SELECT run, {column}, rank, step, argMax(value, version), uniqExactIf({exact}, version = top) "
                f"FROM (SELECT *, {top} FROM {table} {where}) "
                f"GROUP BY run, {column}, rank, step",
                **parameters,
            )
            for run, metric, rank, step, value, versions in newest:
                key = (run, metric, rank, step)
                if versions != 1:
                    findings.note("wrong", f"{key} has {versions} values of one version")
                if stored.get(key) != bits(value):
                    findings.note("wrong", f"{key}: FINAL says {stored.get(key)!r}, argMax {bits(value)!r}")
        return stored

    def _check_series(self, project: str, runs: list[str], findings: Findings) -> None:
        """The derived table against its recomputation from the surviving rows."""
        parameters = {"project": f"main/{project}", "runs": runs}
        where = "WHERE project = {project:String} AND run IN {runs:Array(String)}"
        recomputed = self._rows(
            "SELECT run, metric, rank, max((step, version, reinterpretAsUInt64(value))) AS newest, "
            "newest.1, newest.2, newest.3 "
            f"FROM points FINAL {where} GROUP BY run, metric, rank",
            **parameters,
        )
        derived = self._rows(
            "SELECT run, metric, rank, max(last) AS newest, newest.1, newest.2, reinterpretAsUInt64(newest.3) "
            f"FROM series {where} GROUP BY run, metric, rank",
            **parameters,
        )
        truth, kept = ({row[:3]: row[4:] for row in rows} for rows in (recomputed, derived))
        for series in truth.keys() | kept.keys():
            if truth.get(series) != kept.get(series):
                findings.note("wrong", f"series {series}: {kept.get(series)}, recomputed {truth.get(series)}")

    def _rows(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        if self.plain:
            statement = statement.replace("FROM points FINAL", "FROM points")
        return list(self._client.query(statement, parameters=parameters).result_rows)
