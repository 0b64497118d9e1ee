"""The command lines of services and databases: wrong settings are one readable line, right ones work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clickhouse import EmbeddedClickHouse
from tests.support.stack import clean_environment


def runstream(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runstream.cli", *arguments]
    environment = {**clean_environment(), **variables}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=90, env=environment)


@pytest.mark.parametrize(
    "command", ["gateway", "writer", "ingest", "query", "migrate", "clickhouse", "up", "doctor", "key"]
)
def test_every_command_explains_itself(command: str) -> None:
    done = runstream(command, "--help")
    assert done.returncode == 0 and f"usage: runstream {command}" in done.stdout


def test_the_command_line_lists_its_commands() -> None:
    done = runstream("--help")
    assert done.returncode == 0
    for command in ("login", "sync", "up", "doctor", "gateway", "writer", "query", "migrate"):
        assert command in done.stdout
    assert runstream("nonsense").returncode == 1


@pytest.mark.parametrize(
    ("command", "variables", "words"),
    [
        ("gateway", {}, "RUNSTREAM_KAFKA_BOOTSTRAP"),
        ("writer", {}, "RUNSTREAM_KAFKA_BOOTSTRAP"),
        ("gateway", {"RUNSTREAM_GATEWAY_LISTEN": "nowhere"}, "RUNSTREAM_GATEWAY_LISTEN is 'nowhere'"),
        ("ingest", {"RUNSTREAM_WRITER_MAX_POINTS": "many"}, "RUNSTREAM_WRITER_MAX_POINTS is 'many'"),
        ("ingest", {"RUNSTREAM_WRITER_MAX_BYTES": "1 ell"}, "RUNSTREAM_WRITER_MAX_BYTES is '1 ell'"),
        ("ingest", {"RUNSTREAM_GATEWAY_OPS": "0.0.0.0:1", "RUNSTREAM_CONTROL_URL": "sqlite://"}, "RUNSTREAM_OPS_TOKEN"),
        ("query", {"RUNSTREAM_CLICKHOUSE_URL": "localhost"}, "RUNSTREAM_CLICKHOUSE_URL is 'localhost'"),
        ("query", {"RUNSTREAM_CONTROL_URL": "nonsense"}, "RUNSTREAM_CONTROL_URL is no database URL"),
        ("migrate", {}, "RUNSTREAM_CONTROL_URL"),
        ("gateway", {"RUNSTREAM_LOG_LEVEL": "loud"}, "RUNSTREAM_LOG_LEVEL is 'loud'"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(command: str, variables: dict[str, str], words: str) -> None:
    done = runstream(command, **variables)
    assert done.returncode == 1
    assert words in done.stderr and "Traceback" not in done.stderr


def test_migrate_brings_both_databases_up_to_date_and_check_says_so(tmp_path: Path) -> None:
    server = EmbeddedClickHouse(tmp_path).start()
    variables = {**server.environment, "RUNSTREAM_CONTROL_URL": f"sqlite:///{tmp_path / 'control.db'}"}
    check = runstream("migrate", "--check", **variables)
    assert check.returncode == 1 and "run `runstream migrate`" in check.stderr
    query = runstream("query", **variables)
    assert query.returncode == 1 and "run `runstream migrate`" in query.stderr
    first = runstream("migrate", **variables)
    assert first.returncode == 0 and "applied 0001_initial.sql" in first.stdout
    again = runstream("migrate", **variables)
    assert again.returncode == 0 and "up to date" in again.stdout
    assert runstream("migrate", "--check", **variables).returncode == 0
    assert server.service.stop() == 0
