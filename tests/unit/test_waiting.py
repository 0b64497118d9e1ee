"""A process that waits for its sender looks after it, however short the slices are in which it waits."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import runstream
from runstream.runs.stream import Stream


def test_who_waits_in_slices_of_half_a_second_replaces_a_dead_sender(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """finish() waits 0.5 s at a time, to show its progress, and wait_acked looked after the sender 0.5 s after it was
    called: never, then. A sender that was killed while finish() waited had no successor for all of its timeout."""
    looks: list[float] = []
    monkeypatch.setenv("RUNSTREAM_DIR", str(tmp_path / "spool"))
    monkeypatch.setenv("RUNSTREAM_API_KEY", "rs_000000000000_" + "x" * 43)
    monkeypatch.setenv("RUNSTREAM_SILENT", "true")
    monkeypatch.setattr(Stream, "ensure_sender", lambda self: looks.append(time.monotonic()))
    run = runstream.init(
        project="p",
        id="waits",
        settings=runstream.Settings(console="off", system_metrics=False, capture_environment=False),
    )
    run.log({"value": 1.0})
    began = time.monotonic()
    assert run.finish(timeout=4.0) is False
    late = [look - began for look in looks if look - began > 1.5]
    assert len(late) >= 3, looks
