"""Disks that are full or lie, and a ClickHouse that forgot."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runstream.api import ApiError
from tests.faults.faults.base import Round
from tests.faults.findings import Findings
from tests.faults.lab import Lab
from tests.faults.naming import misnamed


def no_tokens(round: Round) -> None:
    """The deduplication log is deleted, its window is 1, or the tokens are off; and writers die."""
    lab = round.lab
    how = round.random.choice(["off", "window", "deleted"])
    extra = {"RUNSTREAM_WRITER_DEDUP_TOKENS": "false"} if how == "off" else {}
    if how == "window":
        lab._client.command("ALTER TABLE points MODIFY SETTING non_replicated_deduplication_window = 1")
    for _ in range(3):
        for writer in lab.writers:
            lab.kill(writer)
        if how == "deleted":
            lab.kill("clickhouse")
            for path in lab.clickhouse.data.rglob("deduplication_logs"):
                shutil.rmtree(path, ignore_errors=True)
            lab.revive("clickhouse")
        for writer in lab.writers:
            lab.launch(writer, extra)
        for writer in lab.writers:
            lab.wait_ready(writer)
        round.pause(0.5, 1.5)
    if how == "window":
        lab._client.command("ALTER TABLE points MODIFY SETTING non_replicated_deduplication_window = 1000")


def offline(lab: Lab, folder: Path) -> dict[str, Any]:
    return {"extra": {"RUNSTREAM_MODE": "offline"}}


def flip_bytes(round: Round) -> None:
    """Offline trainers are killed; then bits flip in what they left, and a tail is torn off."""
    round.pause(1.0, 3.0)
    for stream in round.workload.streams:
        round.workload.kill(stream)
    segments = [path for spool in round.workload.spools for path in sorted(spool.glob("streams/*/*.seg"))]
    round.expect(len(segments) >= len(round.workload.streams), f"{len(segments)} segments for all streams")
    torn: list[str] = []
    for path in round.random.sample(segments, len(segments) // 2 + 1):
        data = bytearray(path.read_bytes())
        used = len(bytes(data).rstrip(b"\0"))
        for _ in range(round.random.randint(1, 4)):
            data[round.random.randrange(64, used)] ^= 1 << round.random.randrange(8)
        if round.random.random() < 0.3:
            data[round.random.randrange(used // 2, used) :] = b""
            torn.append(path.parent.name)
        path.write_bytes(data)
    round.workload.folder.joinpath("torn").write_text(json.dumps(torn))


def check_flipped(round: Round, findings: Findings) -> None:
    """What is missing is named, record by record, and nothing else is. Of a file whose tail was torn off, nobody can
    know how many records it held: the verdict names the first of them."""
    torn = set(json.loads(round.workload.folder.joinpath("torn").read_text()))
    for run in round.workload.runs:
        verdict = round.lab.api.run(f"{round.workload.project}/{run}").completeness
        if run in findings.lacking:
            round.expect(verdict["verdict"] == "incomplete", f"{run} lacks records and is called {verdict['verdict']}")
        round.problems += misnamed(round.lab.checker, round.workload, run, verdict, torn)
    findings.missing = findings.incomplete = 0
    findings.examples = [text for text in findings.examples if not text.startswith(("missing", "incomplete"))]


def fill(folder: str) -> Callable[[Round], None]:
    """The disk below a part is full for some seconds."""

    def play(round: Round) -> None:
        round.pause(0.5, 1.5)
        disk = round.lab.disks[folder] if folder in round.lab.disks else round.workload.spools[0]
        ballast = disk / "ballast"
        file = os.open(ballast, os.O_WRONLY | os.O_CREAT)
        try:
            for size in (1 << 16, 1 << 10):
                with contextlib.suppress(OSError):
                    while os.write(file, bytes(size)):
                        pass
            round.pause(4.0, 7.0)
        finally:
            os.close(file)
            ballast.unlink()

    return play


def small_spool(lab: Lab, folder: Path) -> dict[str, Any]:
    """The first node's spool on a small disk; what finds no room there waits for it (`block`)."""
    disk = folder.parent / folder.name.removesuffix("-clock") / "node-0"
    load = {"metrics": 100, "rows_per_s": 250.0, "runs": 1}
    return {"small_spool": disk, "extra": {"RUNSTREAM_WHEN_FULL": "block"}, **load}


def check_damaged_part(round: Round, findings: Findings) -> None:
    """At rest a part of `points` is truncated while the engine is down: no run that lacks values is `complete`."""
    lab, workload = round.lab, round.workload
    clean = findings.clean
    path = _part_of(round, "points")
    # What it was merged from is on disk for some minutes more, and the engine would take it from there.
    merged = lab.checker.ask("SELECT path FROM system.parts WHERE table = 'points' AND NOT active")
    hurt = False
    lab.kill("clickhouse")
    for (folder,) in merged:
        shutil.rmtree(folder, ignore_errors=True)
    for file in [*path.glob("data.bin"), *path.glob("value.bin")]:
        os.truncate(file, file.stat().st_size // 2)
    lab.revive("clickhouse")
    for run in workload.runs:
        # The engine may detach the part, or say an error when it is read: either way the values are not there.
        verdict = "an error"
        with contextlib.suppress(Exception):
            verdict = lab.api.run(f"{workload.project}/{run}").completeness["verdict"]
        try:
            lacking = run in lab.checker.compare(workload, only=run).lacking
        except Exception:  # noqa: BLE001  # whatever the engine says: it cannot read the values
            lacking = True
        hurt = hurt or lacking
        if clean and lacking and verdict == "complete":
            findings.note("false_complete", f"{run} is complete over the damaged part {path.name}")
    round.expect(hurt, f"truncating {path.name} took no value away: the round shows nothing")


def _part_of(round: Round, table: str) -> Path:
    """Folder of the part that holds most of this round's rows; no merge takes them elsewhere until the next start."""
    ask = round.lab.checker.ask
    round.lab._client.command(f"SYSTEM STOP MERGES {table}")
    name = ask(
        f"SELECT _part FROM {table} WHERE project = {{project:String}} AND run IN {{runs:Array(String)}}"
        " GROUP BY _part ORDER BY count() DESC LIMIT 1",
        project=f"main/{round.workload.project}",
        runs=round.workload.runs,
    )[0][0]
    found = ask(
        "SELECT path FROM system.parts WHERE table = {table:String} AND name = {name:String} AND active",
        table=table,
        name=name,
    )
    return Path(found[0][0])


_HURT = {
    "points": "value",
    "strings": "value",
    "histograms": "counts",
    "tables": "rows",
    "run_fields": "value",
    "console": "text",
}
"""Tables, and a column of each that the checker compares."""


def check_hurt_part(round: Round, findings: Findings) -> None:
    """At rest bits are flipped in a part of a table, or its folder is removed, while the engine runs. A run whose
    values are not there is never complete, neither at once nor when the engine has been started again, and the verdict
    says what is wrong."""
    lab = round.lab
    table = round.random.choice(["points", *_HURT])
    path = _part_of(round, table)
    name = path.name
    removed = round.random.random() < 0.5
    if removed:
        shutil.rmtree(path)
    else:
        file = max([*path.glob("data.bin"), *path.glob(f"{_HURT[table]}*.bin")], key=lambda one: one.stat().st_size)
        data = bytearray(file.read_bytes())
        for _ in range(32):
            data[round.random.randrange(len(data))] ^= 1 << round.random.randrange(8)
        file.write_bytes(data)
    what = f"the part {name} of {table} {'removed' if removed else 'with flipped bits'}"
    hurt = _judge_hurt(round, findings, what)
    lab.kill("clickhouse")
    lab.revive("clickhouse")
    hurt += _judge_hurt(round, findings, f"{what}, after a start")
    round.expect(hurt > 0, f"{what} took no value away: the round shows nothing")
    with contextlib.suppress(Exception):  # gone already, where the engine has put it aside
        lab._client.command(f"ALTER TABLE {table} DROP PART '{name}'")


def _judge_hurt(round: Round, findings: Findings, what: str) -> int:
    """How many runs lack values; notes those whose verdict does not say so."""
    lab, workload, hurt = round.lab, round.workload, 0
    for run in workload.runs:
        try:
            found = lab.api.run(f"{workload.project}/{run}").completeness
        except ApiError as error:  # what describes the run cannot be read: that is said, with what to do
            round.expect("runstream doctor" in str(error), f"{what}: {run} has no verdict: {error}")
            hurt += 1
            continue
        try:
            lacking = run in lab.checker.compare(workload, only=run).lacking
        except Exception:  # noqa: BLE001  # whatever the engine says: it cannot read the values
            lacking = True
        hurt += lacking
        if lacking and found["verdict"] == "complete":
            findings.note("false_complete", f"{what}: {run} is complete: {found}")
        elif lacking and not (found["findings"] or found["missing"]):
            round.expect(False, f"{what}: {run} is called {found['verdict']} and nothing is named: {found}")
    return hurt
