"""Deletion in ClickHouse: a tombstone says what is dead, and a purge removes it.

A tombstone names the last dead *epoch* of a run, or of one metric of it. So it decides for every row and every batch,
whenever they come, whether they are dead: rows that Kafka delivers again stay deleted, and a later attempt of the run
lives.

No deleted row comes back. The deletion writes the tombstone first, then purges. The writer reads the tombstones after
each insert, before it confirms. An insert that ended before the tombstone was written is seen by the purge; one that
ended later is seen by its own writer, which purges again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from runstream_common.clickhouse.client import classify
from runstream_common.clickhouse.interface import ClickHouseClient, Parameters, Settings
from runstream_common.identity import version

RUN_TABLES = (
    "points",
    "run_fields",
    "streams",
    "strings",
    "histograms",
    "tables",
    "media",
    "files",
    "console",
    "alerts",
)
"""The tables whose rows have a `version`."""
METRIC_TABLES = {"points": "metric", "strings": "key", "histograms": "key", "tables": "key", "media": "key"}
"""The tables that hold a metric's rows, with the column of its name."""
ROLLUP_TABLES = ("rolled_series", "rollups")
"""The tables that are computed from parts of `points`.

A deletion makes new parts, so the living rows are rolled up again.
"""
_AT_ONCE = 500
_SYNC = {"lightweight_deletes_sync": 2, "mutations_sync": 2}
_NOTED = {"lightweight_deletes_sync": 0, "mutations_sync": 0}
_OVERLAP_S = 600
"""Tombstones of this age are read again: the replicas of a cluster see them in any order."""


@dataclass(frozen=True, slots=True)
class Tombstone:
    project: str
    """team/project"""
    run: str
    epoch: int
    metric: str = ""


class Tombstones:
    """The dead runs and metrics, kept up to date by `refresh`."""

    def __init__(self, client: ClickHouseClient) -> None:
        self._client = client
        self._runs: dict[tuple[str, str], int] = {}
        self._metrics: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        self._read_to = 0.0

    async def refresh(self) -> None:
        """Read the new tombstones. Raise StorageUnavailableError or StorageRefusedError."""
        try:
            result = await self._client.query(
                "SELECT project, run, metric, epoch, toUnixTimestamp64Micro(written) / 1e6 FROM tombstones "
                "WHERE written >= fromUnixTimestamp64Micro(toInt64({since:Float64} * 1e6))",
                parameters={"since": max(self._read_to - _OVERLAP_S, 0.0)},
            )
        except Exception as error:
            raise classify(error) from error
        for project, run, metric, epoch, written in result.result_rows:
            if metric:
                metrics = self._metrics[project, run]
                metrics[metric] = max(metrics.get(metric, 0), epoch)
            else:
                self._runs[project, run] = max(self._runs.get((project, run), 0), epoch)
            self._read_to = max(self._read_to, written)

    def dead_run(self, project: str, run: str, epoch: int) -> Tombstone | None:
        """Return the tombstone of this attempt of a run, or None when it lives."""
        last = self._runs.get((project, run), 0)
        return Tombstone(project, run, last) if epoch <= last else None

    def dead_metrics(self, project: str, run: str, epoch: int) -> dict[str, Tombstone]:
        """Return the deleted metrics of this attempt, with their tombstones."""
        known = self._metrics.get((project, run))
        if not known:
            return {}
        return {metric: Tombstone(project, run, last, metric) for metric, last in known.items() if epoch <= last}


async def write(client: ClickHouseClient, tombstones: Sequence[Tombstone], user: str) -> None:
    """Write tombstones. Raise StorageUnavailableError or StorageRefusedError."""
    rows = [[stone.project, stone.run, stone.metric, stone.epoch, user] for stone in tombstones]
    try:
        await client.insert(
            "tombstones", rows, column_names=["project", "run", "metric", "epoch", "user"], settings={"async_insert": 0}
        )
    except Exception as error:
        raise classify(error) from error


async def purge(client: ClickHouseClient, tombstones: Iterable[Tombstone], *, wait: bool = True) -> None:
    """Remove every dead row that is stored by now. It is safe to repeat this.

    Return when the rows are gone for every reader or, without `wait`, when the engine has durably noted their removal.
    Raise StorageUnavailableError or StorageRefusedError.
    """
    settings = _SYNC if wait else _NOTED
    runs: dict[str, dict[str, int]] = defaultdict(dict)
    for stone in tombstones:
        if stone.metric:
            await _purge_metric(client, stone, settings)
        else:
            runs[stone.project][stone.run] = max(stone.epoch, runs[stone.project].get(stone.run, 0))
    for project, epochs in runs.items():
        names = list(epochs)
        for start in range(0, len(names), _AT_ONCE):
            part = {name: epochs[name] for name in names[start : start + _AT_ONCE]}
            await _purge_runs(client, project, part, settings)


async def _purge_runs(client: ClickHouseClient, project: str, epochs: Mapping[str, int], settings: Settings) -> None:
    parameters = {
        "project": project,
        "runs": list(epochs),
        "epochs": list(epochs.values()),
        "floors": [version(epoch + 1, 0) for epoch in epochs.values()],
    }
    where = "project = {project:String} AND run IN {runs:Array(String)} AND "
    by_version = "transform(toString(run), {runs:Array(String)}, {floors:Array(UInt64)}, toUInt64(0))"
    by_epoch = "transform(toString(run), {runs:Array(String)}, {epochs:Array(UInt64)}, toUInt64(0))"
    for table in RUN_TABLES:
        await _delete(client, table, f"{where}version < {by_version}", parameters, settings)
    await _delete(client, "series", f"{where}last.version < {by_version}", parameters, settings)
    for table in ("ledger", "rejects", "replaced_points"):
        await _delete(client, table, f"{where}epoch <= {by_epoch}", parameters, settings)
    for table in ROLLUP_TABLES:
        await _delete(client, table, where.removesuffix(" AND "), parameters, settings)
    await _mend_series(client, f"{where}version >= {by_version}", parameters)


async def _purge_metric(client: ClickHouseClient, stone: Tombstone, settings: Settings) -> None:
    parameters = {
        "project": stone.project,
        "run": stone.run,
        "metric": stone.metric,
        "floor": version(stone.epoch + 1, 0),
    }
    where = "project = {project:String} AND run = {run:String} AND "
    for table, column in METRIC_TABLES.items():
        await _delete(
            client, table, f"{where}{column} = {{metric:String}} AND version < {{floor:UInt64}}", parameters, settings
        )
    condition = f"{where}metric = {{metric:String}}"
    await _delete(client, "series", f"{condition} AND last.version < {{floor:UInt64}}", parameters, settings)
    for table in ROLLUP_TABLES:
        await _delete(client, table, condition, parameters, settings)
    await _mend_series(client, f"{condition} AND version >= {{floor:UInt64}}", parameters)


async def _mend_series(client: ClickHouseClient, where: str, parameters: Parameters) -> None:
    """Write the series of living points again.

    A row that merged a dead point with a living one was deleted with the dead point.
    """
    await _command(
        client,
        "INSERT INTO series (project, run, metric, rank, last, low, run_month) "  # noqa: S608  # constant text
        "SELECT project, run, metric, rank, max((step, version, value, time)), min(step), any(run_month) "
        f"FROM points FINAL WHERE {where} GROUP BY project, run, metric, rank",
        parameters,
        {"insert_deduplicate": 0},
    )


async def _delete(client: ClickHouseClient, table: str, where: str, parameters: Parameters, settings: Settings) -> None:
    await _command(client, f"DELETE FROM {table} WHERE {where}", parameters, settings)  # noqa: S608  # constant text


async def _command(client: ClickHouseClient, statement: str, parameters: Parameters, settings: Settings) -> None:
    try:
        await client.command(statement, parameters=parameters, settings=settings)
    except Exception as error:
        raise classify(error) from error
