"""Compares what was logged with what is stored: missing, doubled, wrong; and what is derived with its recomputation."""

from __future__ import annotations

from collections import Counter
from typing import Any

from runstream.api import Api, ApiError
from tests.faults import stored
from tests.faults.documents import Key
from tests.faults.expected import bits, expect
from tests.faults.findings import Findings
from tests.faults.workload import Workload


class Checker:
    """Asks ClickHouse directly; and the query service for its verdict."""

    def __init__(self, client: Any, api: Api) -> None:
        self._client = client
        self._api = api
        self.plain = False
        """`points` is a table that keeps every row: a sabotage."""

    def epochs(self, project: str, runs: list[str]) -> dict[str, int]:
        rows = self.ask(
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
        points = self.ask(f"SELECT count() FROM points {where}", **parameters)[0][0]
        return int(points + self.ask(f"SELECT count() FROM strings {where}", **parameters)[0][0])

    def compare(self, workload: Workload, *, lossy: bool = False, only: str = "") -> Findings:
        """At rest: everything is sent, the lag is nought. `only`: one run, whose rows alone are read."""
        project, runs = workload.project, [only] if only else workload.runs
        expected = expect(workload, self.epochs(project, workload.runs), lossy=lossy)
        findings = Findings()
        found = self._stored(project, runs, findings)
        findings.points = len(found)
        found |= self._documents(project, runs, findings)
        findings.documents = len(found) - findings.points
        for key, value in expected.values.items():
            if str(key[1]) not in runs:
                continue
            if key not in found:
                findings.lack("missing", key, f"{key}")
            elif not _same(key, found[key], value) and found[key] not in expected.allowed.get(key, ()):
                findings.lack("wrong", key, f"{key} is {found[key]!r}, not {value!r}")
        for key, value in found.items():
            if key not in expected.values and value not in expected.allowed.get(key, ()) and key[0] != "ends":
                findings.note("wrong", f"{key} was never logged", key[0])
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
            found[table] = self.ask(
                f"SELECT count(), groupBitXor(cityHash64({columns})) FROM {table} FINAL "
                "WHERE project = {project:String}",
                project=f"main/{project}",
            )[0]
        found["series"] = self.ask(
            "SELECT count(), groupBitXor(cityHash64(run, metric, rank, newest.1, newest.2, "
            "reinterpretAsUInt64(newest.3))) "
            "FROM (SELECT run, metric, rank, max(last) AS newest FROM series WHERE project = {project:String} "
            "GROUP BY run, metric, rank)",
            project=f"main/{project}",
        )[0]
        return found

    def _documents(self, project: str, runs: list[str], findings: Findings) -> dict[Key, Any]:
        found: dict[Key, Any] = {}
        contents: dict[str, str] = {}
        for kind in stored.KINDS:
            for key, value in stored.rows(self.ask, kind, project, runs):
                if key in found:
                    findings.note("doubled", f"{key} twice", kind)
                found[key] = value
                if kind in ("media", "files"):
                    if value[0] not in contents:
                        contents[value[0]] = stored.content_problem(self._api, project, value[0])
                    if contents[value[0]]:
                        findings.lack("wrong", key, f"{key}: {contents[value[0]]}")
        return found

    def _stored(self, project: str, runs: list[str], findings: Findings) -> dict[Key, Any]:
        found_values: dict[Key, Any] = {}
        for table, column in (("points", "metric"), ("strings", "key")):
            parameters = {"project": f"main/{project}", "runs": runs}
            where = "WHERE project = {project:String} AND run IN {runs:Array(String)}"
            finals = self.ask(f"SELECT run, {column}, rank, step, value FROM {table} FINAL {where}", **parameters)
            found: Counter[Key] = Counter()
            for run, metric, rank, step, value in finals:
                key = (table, run, metric, rank, step)
                found[key] += 1
                found_values[key] = bits(value)
            for key, count in found.items():
                if count > 1:
                    findings.note("doubled", f"{key} {count} times in {table} FINAL", table)
            exact = "reinterpretAsUInt64(value)" if table == "points" else "value"
            top = f"max(version) OVER (PARTITION BY run, {column}, rank, step) AS top"
            newest = self.ask(
                f"SELECT run, {column}, rank, step, argMax(value, version), uniqExactIf({exact}, version = top) "
                f"FROM (SELECT *, {top} FROM {table} {where}) "
                f"GROUP BY run, {column}, rank, step",
                **parameters,
            )
            for run, metric, rank, step, value, versions in newest:
                key = (table, run, metric, rank, step)
                if versions != 1:
                    findings.note("wrong", f"{key} has {versions} values of one version", table)
                final = found_values.get(key)
                if final != bits(value):
                    findings.note("wrong", f"{key}: FINAL says {final!r}, argMax {bits(value)!r}", table)
        return found_values

    def _check_series(self, project: str, runs: list[str], findings: Findings) -> None:
        """The derived table against its recomputation from the surviving rows."""
        parameters = {"project": f"main/{project}", "runs": runs}
        where = "WHERE project = {project:String} AND run IN {runs:Array(String)}"
        recomputed = self.ask(
            "SELECT run, metric, rank, max((step, version, reinterpretAsUInt64(value))) AS newest, "
            "newest.1, newest.2, newest.3 "
            f"FROM points FINAL {where} GROUP BY run, metric, rank",
            **parameters,
        )
        derived = self.ask(
            "SELECT run, metric, rank, max(last) AS newest, newest.1, newest.2, reinterpretAsUInt64(newest.3) "
            f"FROM series {where} GROUP BY run, metric, rank",
            **parameters,
        )
        truth, kept = ({row[:3]: row[4:] for row in rows} for rows in (recomputed, derived))
        for series in truth.keys() | kept.keys():
            if truth.get(series) != kept.get(series):
                findings.note("wrong", f"series {series}: {kept.get(series)}, recomputed {truth.get(series)}", "series")

    def ask(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of a statement, of the engine itself."""
        if self.plain:
            statement = statement.replace("FROM points FINAL", "FROM points")
        return list(self._client.query(statement, parameters=parameters).result_rows)


def _same(key: Key, found: Any, wanted: Any) -> bool:
    """Of an end, the number of points counts only where it is certain."""
    if key[0] == "ends" and wanted[1] is None:
        return bool(found[0] == wanted[0])
    return bool(found == wanted)
