"""`runstream sync` and `runstream status`: what waits in a spool folder."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from runstream.errors import SpoolError, UsageError
from runstream.settings import Settings
from runstream.spool import files
from runstream.spool.folder import SpoolFolder, is_alive, read_meta
from runstream.spool.state import StateFile


def sync(folder: Path | None, timeout_s: float) -> int:
    """Send every stream of the folder, offline ones too, and show how far it is. Returns 0 when nothing is left."""
    import asyncio

    from runstream.sender.process import Sender

    spool = _folder(folder)
    total = sum(1 for _ in spool.stream_folders())
    if not total:
        print("runstream sync: nothing waits")
        return 0
    sender = Sender(spool, patience_s=timeout_s, include_offline=True, linger_s=0.0)

    async def run() -> None:
        work = asyncio.create_task(sender.run())
        shown = ""
        while not work.done():
            await asyncio.wait([work], timeout=0.5)
            streams, records = sender.waiting()
            troubles = sender.troubles()
            line = f"runstream sync: {sender.finished} of {total} streams sent, {records} records under way"
            line += f" ({troubles[0]})" if troubles else ""
            if line != shown and streams:
                print(line, file=sys.stderr, flush=True)
                shown = line
        await work

    asyncio.run(run())
    left = sum(1 for _ in spool.stream_folders())
    print(f"runstream sync: {sender.finished} streams sent, {left} left in {spool.root}")
    return 1 if left else 0


def status(folder: Path | None) -> int:
    """Print a line for each stream that waits."""
    spool = _folder(folder)
    running = "running" if files.is_locked(spool.sender_lock) else "not running"
    print(f"spool {spool.root}, sender {running}")
    for path in spool.stream_folders():
        try:
            meta, state = read_meta(path), StateFile(path / "state")
        except (SpoolError, OSError, ValueError) as error:
            print(f"  {path.name}: cannot be read: {error}")
            continue
        progress = state.read()
        state.close()
        alive = "running" if is_alive(path) else "ended"
        age = f"{(time.time_ns() // 1000 - meta.created_us) / 1e6:.0f} s old"
        kind = ", offline" if meta.offline else ""
        trouble = f", {progress.error}" if progress.error else ""
        print(
            f"  {meta.project}/{meta.run} rank {meta.rank}: process {alive}, {age}, "
            f"{progress.acked_record} records stored{kind}{trouble}"
        )
    return 0


def _folder(folder: Path | None) -> SpoolFolder:
    root = (folder or Settings.from_environment().root).expanduser().absolute()
    if not (root / "streams").is_dir():
        raise UsageError(f"{root} is no spool folder: give the one that finish() named, or set RUNSTREAM_DIR")
    return SpoolFolder(root)
