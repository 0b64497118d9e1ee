"""Training processes killed with SIGKILL: every record whose `log()` had returned is stored, once."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from runstream.api import Api
from runstream.cli import main as command_line
from runstream_common.clickhouse.client import connect
from tests.e2e.die_often import value
from tests.support.long import LONG
from tests.support.stack import ServiceStack

TRIALS = 200 if LONG else 15


@pytest.mark.timeout(60 + 2 * TRIALS if TRIALS > 100 else 240)
def test_what_log_returned_from_survives_kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = ServiceStack(tmp_path / "stack").start()
    try:
        for name, setting in stack.sdk_environment(tmp_path / "spool").items():
            monkeypatch.setenv(name, setting)
        oracle = tmp_path / "oracle"
        oracle.mkdir()
        script = Path(__file__).with_name("die_often.py")
        done = subprocess.run(
            [sys.executable, str(script), str(oracle), str(TRIALS), "1"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        assert done.returncode == 0, done.stderr
        returned = json.loads(done.stdout)
        assert command_line(["sync", str(tmp_path / "spool")]) == 0
        points, notes = asyncio.run(stored(stack))
        compare(returned, points, notes)
        some = [run for run, (logged, _) in returned.items() if logged][:10]
        for run in some:
            found = Api().run(f"killed/{run}")
            assert found.completeness["verdict"] == "complete" and found.state == "crashed"
    finally:
        stack.stop()


async def stored(stack: ServiceStack) -> tuple[dict[str, Any], dict[str, Any]]:
    """By run: rows (metric, step, value) as they lie in the table once merged; and the strings' steps."""
    client = await connect(stack.clickhouse.config)
    rows = (
        await client.query("SELECT run, metric, step, value FROM points FINAL ORDER BY run, metric, step")
    ).result_rows
    texts = (await client.query("SELECT run, step, value FROM strings FINAL ORDER BY run, step")).result_rows
    await client.close()
    points: dict[str, Any] = defaultdict(lambda: defaultdict(list))
    for run, metric, step, number in rows:
        points[run][metric].append((step, number))
    notes: dict[str, Any] = defaultdict(list)
    for run, step, text in texts:
        notes[run].append((step, text))
    return points, notes


def compare(returned: dict[str, Any], points: dict[str, Any], notes: dict[str, Any]) -> None:
    assert len(returned) == TRIALS
    kept = 0
    for run, (logged, noted) in returned.items():
        seed = int(run.rpartition("-")[2])
        assert logged == 0 or points[run], f"{run}: {logged} rows returned, none stored"
        for metric, series in points[run].items():
            number = int(metric.rpartition(" ")[2])
            steps = [step for step, _ in series]
            assert steps == list(range(len(steps))), f"{run}: a gap, or a step twice"
            # One more than returned may be there: it was in the spool when the kill came.
            assert logged <= len(steps) <= logged + 1, f"{run}: {logged} returned, {len(steps)} stored"
            assert [found for _, found in series] == [value(seed, number, step) for step in steps]
            kept += len(steps)
        assert noted <= len(notes[run]) <= noted + 1
        assert notes[run] == [(50 * n + 49, f"step {50 * n + 50}") for n in range(len(notes[run]))]
    assert sum(logged > 0 for logged, _ in returned.values()) > TRIALS / 2, "most kills came before anything was logged"
    assert kept > 100 * TRIALS
