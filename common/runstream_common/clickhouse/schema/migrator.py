"""Apply and check the numbered migrations of ClickHouse's schema."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runstream_common.clickhouse.client import classify
from runstream_common.clickhouse.interface import ClickHouseClient, Parameters, Row
from runstream_common.errors import ReportedError

FOLDER = Path(__file__).parent / "migrations"
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_ENGINE = re.compile(r"\{\{engine:(\w+)(?:\((.*?)\))?\}\}")
_LOG_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations {{on_cluster}}
(number UInt32, name String, sha256 String, applied DateTime64(3, 'UTC') DEFAULT now64(3))
ENGINE = {{engine:ReplacingMergeTree}} ORDER BY number
"""


class SchemaError(ReportedError):
    """The schema does not fit this program; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def statements(self, cluster: str = "") -> list[str]:
        """Return the statements, rendered for a single node or for a cluster."""
        parts = re.split(r"^;\s*$", self.text, flags=re.MULTILINE)
        return [render(part.strip(), cluster) for part in parts if _has_sql(part)]


def load(folder: Path = FOLDER) -> list[Migration]:
    """Return all migrations, by number. Raise SchemaError when the numbers have a gap."""
    found = [
        Migration(int(match[1]), path.name, path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.sql"))
        if (match := _NAME.fullmatch(path.name))
    ]
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise SchemaError(f"the migrations in {folder} are not numbered 1, 2, 3, ...")
    return found


def render(statement: str, cluster: str = "") -> str:
    """Fill in the engine and ON CLUSTER: for a single node, or replicated on a cluster.

    `cluster` is a configured name. Raise SchemaError when it cannot be used.
    """
    if not cluster:
        return _ENGINE.sub(lambda m: f"{m[1]}({m[2]})" if m[2] else m[1], statement).replace("{{on_cluster}}", "")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", cluster):
        raise SchemaError(f"the cluster name {cluster!r} cannot be used")

    def replicated(match: re.Match[str]) -> str:
        path = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"
        return f"Replicated{match[1]}({path}{', ' + match[2] if match[2] else ''})"

    return _ENGINE.sub(replicated, statement).replace("{{on_cluster}}", f"ON CLUSTER '{cluster}'")


async def migrate(
    client: ClickHouseClient, cluster: str = "", migrations: Iterable[Migration] | None = None
) -> list[Migration]:
    """Apply the migrations that are not applied yet, and return them.

    It is safe to repeat this, and to run it twice at once: every statement is IF NOT EXISTS. Raise SchemaError when an
    applied migration was changed, or StorageError.
    """
    await _command(client, render(_LOG_TABLE, cluster))
    known = await _applied(client)
    done = []
    for migration in load() if migrations is None else migrations:
        if migration.number in known:
            _check_unchanged(migration, known[migration.number])
            continue
        for statement in migration.statements(cluster):
            await _command(client, statement)
        await _command(
            client,
            "INSERT INTO schema_migrations (number, name, sha256) "
            "SELECT {number:UInt32}, {name:String}, {sha256:String}",
            {"number": migration.number, "name": migration.name, "sha256": migration.sha256},
        )
        done.append(migration)
    return done


async def check_schema(client: ClickHouseClient) -> None:
    """Raise SchemaError unless every migration is applied unchanged.

    Services call this at start; they never migrate.
    """
    exists = await _query(
        client, "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'schema_migrations'"
    )
    known = await _applied(client) if exists[0][0] else {}
    for migration in load():
        if migration.number not in known:
            raise SchemaError(f"ClickHouse lacks the migration {migration.name}: run `runstream migrate`")
        _check_unchanged(migration, known[migration.number])


def _check_unchanged(migration: Migration, applied: str) -> None:
    if applied != migration.sha256:
        raise SchemaError(
            f"the migration {migration.name} was applied with other contents: restore the file, add a new one instead"
        )


async def _applied(client: ClickHouseClient) -> dict[int, str]:
    rows = await _query(client, "SELECT number, sha256 FROM schema_migrations FINAL ORDER BY number")
    return {int(number): str(sha256) for number, sha256 in rows}


async def _command(client: ClickHouseClient, statement: str, parameters: Parameters | None = None) -> None:
    try:
        await client.command(statement, parameters=parameters)
    except Exception as error:
        raise classify(error) from error


async def _query(client: ClickHouseClient, statement: str) -> Sequence[Row]:
    try:
        return (await client.query(statement)).result_rows
    except Exception as error:
        raise classify(error) from error


def _has_sql(part: str) -> bool:
    return any(line.strip() and not line.strip().startswith("--") for line in part.splitlines())
