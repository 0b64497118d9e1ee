"""How many streams of dead processes a sender has in hand: a few, while living ones all have their uploader."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from runstream.sender.node_sender import Sender
from runstream.spool import files
from runstream.spool.folder import SpoolFolder

LEAVE = """
import runstream
for index in range(60):
    run = runstream.init(project="left", id=f"dead-{index}", mode="offline",
                         settings=runstream.Settings(capture_environment=False, console="off", system_metrics=False))
    run.log({"value": 1})
    run.finish()
"""


def test_dead_streams_are_opened_a_few_at_a_time_and_living_ones_at_once(tmp_path: Path) -> None:
    environment = {**os.environ, "RUNSTREAM_DIR": str(tmp_path), "RUNSTREAM_SILENT": "true"}
    environment["RUNSTREAM_API_KEY"] = "rs_000000000000_" + "x" * 43
    environment["RUNSTREAM_GATEWAY"] = "127.0.0.1:1"
    subprocess.run([sys.executable, "-c", LEAVE], check=True, env=environment, timeout=60)
    spool = SpoolFolder(tmp_path)
    folders = list(spool.stream_folders())
    assert len(folders) == 60
    for folder in folders:
        meta = json.loads((folder / "meta.json").read_text())
        (folder / "meta.json").write_text(json.dumps({**meta, "offline": False}))
    lock = files.FileLock(folders[-1] / "lock")
    assert lock.acquire()  # this one lives

    async def play() -> tuple[int, bool]:
        sender = Sender(spool, 60.0, side_work="none")
        work = asyncio.create_task(sender.run())
        most, first = 0, False
        for turn in range(150):
            await asyncio.sleep(0.01)
            most = max(most, len(sender._uploaders))
            if turn == 10:
                first = folders[-1].name in sender._uploaders
        sender.stop()
        await work
        return most, first

    most, first = asyncio.run(play())
    assert first and most <= 9
    lock.release()
