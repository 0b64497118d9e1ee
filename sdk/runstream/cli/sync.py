"""`runstream sync` and `runstream status`: send and show the streams that wait in a spool folder."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from runstream.errors import SpoolError, UsageError
from runstream.sender.consoles import has_leftovers
from runstream.sender.node_sender import Sender
from runstream.server.key_file import Credentials
from runstream.settings import DEFAULT_BASE_URL, Settings
from runstream.spool import files
from runstream.spool.folder import SpoolFolder, is_alive, read_meta, write_meta
from runstream.spool.state import StateFile

_PAUSE_S = 0.2
_BAR_CHARACTERS = 30


def sync(folder: Path | None, timeout_s: float) -> int:
    """Send every stream of the folder, also those that are offline or still written to, and show the progress.

    The node's sender sends the streams that it has, and they are waited for. Streams of processes that still run are
    sent as far as they are written; they are no reason to wait. Returns 0 when only those are left. A key in the
    environment replaces a key that the server refuses.
    """
    logging.getLogger("runstream.sender").addHandler(logging.NullHandler())  # the bar shows what is wrong
    spool = _folder(folder)
    with contextlib.suppress(OSError, UsageError):
        settings = Settings.from_environment()
        _remember_key(spool, settings)
        _address_unconfigured(spool, settings)
    if not any(True for _ in spool.stream_folders()) and not has_leftovers(spool):
        print("runstream sync: nothing waits")
        return 0
    return asyncio.run(_Sync(spool, timeout_s).run())


def _remember_key(spool: SpoolFolder, settings: Settings) -> None:
    """Keep the environment's key as `init()` does: senders find it when the server refuses a stream's own."""
    if settings.api_key:
        Credentials(spool.root).store(settings.base_url, settings.api_key)


def _address_unconfigured(spool: SpoolFolder, settings: Settings) -> None:
    """Address streams to the server of these settings where no server was configured when they were recorded.

    Such streams are offline, have no key and name the default address: their machine knew no server.
    """
    if settings.base_url == DEFAULT_BASE_URL and not settings.gateway:
        return
    for folder in (*spool.stream_folders(), *(path.parent for path in (spool.root / "console").glob("*/meta.json"))):
        with contextlib.suppress(SpoolError):
            meta = read_meta(folder)
            if meta.offline and not meta.key_prefix and meta.base_url == DEFAULT_BASE_URL and not is_alive(folder):
                write_meta(
                    folder,
                    replace(
                        meta,
                        base_url=settings.base_url,
                        gateway=settings.gateway_address,
                        gateway_tls=settings.tls,
                    ),
                )


class _Sync:
    def __init__(self, spool: SpoolFolder, timeout_s: float) -> None:
        self._spool = spool
        self._timeout_s = timeout_s
        self._lock = files.FileLock(spool.sender_lock)
        self._sender = Sender(
            spool,
            patience_s=timeout_s,
            include_offline=True,
            linger_s=1e9,
            retry_s=_PAUSE_S,
            side_work="leftovers" if self._lock.acquire() else "none",
        )
        self._seen = {path.name for path in spool.stream_folders()}
        self._bar = _Bar(_bytes_waiting(spool))

    async def run(self) -> int:
        work = asyncio.create_task(self._sender.run())
        last_move = time.monotonic()
        waiting = (-1, -1, -1)
        troubles: list[str] = []
        try:
            while True:
                await asyncio.wait([work], timeout=_PAUSE_S)
                names = {path.name for path in self._spool.stream_folders()}
                self._seen |= names
                now_waiting = _bytes_waiting(self._spool)
                records = self._sender.waiting()[1]
                if (now_waiting, records, len(names)) != waiting:
                    waiting, last_move = (now_waiting, records, len(names)), time.monotonic()
                troubles = self._sender.troubles() or troubles
                self._bar.show(now_waiting, len(self._seen) - len(names), len(self._seen), troubles)
                if work.done() or self._nothing_to_wait_for() or time.monotonic() - last_move > self._timeout_s:
                    break
        finally:
            self._sender.stop()
            with contextlib.suppress(asyncio.CancelledError):
                await work
            self._lock.release()
        return self._report(troubles)

    def _nothing_to_wait_for(self) -> bool:
        """Return True when only streams of running processes are left, and all their records so far are sent."""
        if has_leftovers(self._spool):
            return False
        for path in self._spool.stream_folders():
            if not is_alive(path) or self._sender.is_behind(path.name):
                return False
        return True

    def _report(self, troubles: list[str]) -> int:
        left = list(self._spool.stream_folders())
        running = [path for path in left if is_alive(path)]
        self._bar.end()
        sentence = f"runstream sync: {len(self._seen) - len(left)} streams sent, {len(left)} left in {self._spool.root}"
        if running:
            sentence += f", {len(running)} of them still written to"
        print(sentence + (f" ({troubles[0]})" if troubles else ""))
        return 1 if len(left) > len(running) else 0


@dataclass(slots=True)
class _Bar:
    """Progress by bytes: one line that is redrawn on a terminal, else a new line every few seconds."""

    total: int
    _started: float = 0.0
    _shown: float = 0.0
    _dirty: bool = False

    def show(self, waiting: int, done: int, streams: int, troubles: list[str]) -> None:
        now = time.monotonic()
        self._started = self._started or now
        self.total = max(self.total, waiting)
        terminal = sys.stderr.isatty()
        if now - self._shown < (0.0 if terminal else 5.0):
            return
        self._shown = now
        part = 1 - waiting / self.total if self.total else 1.0
        filled = round(part * _BAR_CHARACTERS)
        rate = (self.total - waiting) / max(now - self._started, 1e-3) / 1e6
        bar = "█" * filled + "░" * (_BAR_CHARACTERS - filled)
        text = f"{bar} {part:4.0%}  {done} of {streams} streams  {rate:.1f} MB/s"
        text += f"  ({troubles[0][:100]})" if troubles else ""
        if terminal:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
            self._dirty = True
        else:
            print(f"runstream sync: {text}", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._dirty:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _bytes_waiting(spool: SpoolFolder) -> int:
    """Return the bytes of segments and media that are not deleted yet; they are deleted when they are sent."""
    total = 0
    for folder in spool.stream_folders():
        for path in (folder, folder / "media"):
            with contextlib.suppress(FileNotFoundError):
                total += sum(entry.stat().st_size for entry in os.scandir(path) if entry.is_file())
    return total


_WORDS = {
    "process running": "it still logs; what it logged is sent as it comes",
    "process ended": "it has ended; the sender, or `runstream sync`, sends the rest",
    "records stored": "so many of its log() calls and other records are on the server for good",
    "offline": "mode='offline': sent by `runstream sync` alone",
    "system": "the sender's own stream: system metrics and console of that process",
    "not sent yet": "nothing of it so far; what follows, or the first line, says why",
    "last looked after": "its sender is busy or gone",
}
"""The meaning of the words in the lines of `status`."""


def status(folder: Path | None) -> int:
    """Print a line for each stream that waits, and explain the words of these lines."""
    spool = _folder(folder)
    shown = ""
    print(f"spool {spool.root}, sender {_sender_state(spool)}")
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
        kind += ", system" if meta.system else ""
        trouble = _last_look(progress.beat_us, meta.offline)
        trouble += f", {progress.rejected_batches} batches or records refused" if progress.rejected_batches else ""
        trouble += f", {progress.error}" if progress.error else ""
        line = f"{progress.acked_record} records stored{kind}{trouble}"
        print(f"  {meta.project}/{meta.run} rank {meta.rank}: process {alive}, {age}, {line}")
        shown += f"process {alive}, {line}"
    print("A line is a process's stream of which something is not on the server yet:" if shown else "Nothing waits.")
    for words, meaning in _WORDS.items():
        if words in shown:
            print(f"  {words:<17}{meaning}")
    return 0


def _sender_state(spool: SpoolFolder) -> str:
    """Return whether there is a sender, its process and since when it runs; else the last line of its log."""
    if not files.is_locked(spool.sender_lock):
        last = _last_line(spool.sender_log)
        return f"not running ({last})" if last else "not running"
    pid, _, since = files.read_note(spool.sender_lock).partition(" ")
    if not since.isdigit():
        return "running"
    return f"running (process {pid}, for {max(time.time() - int(since), 0):.0f} s)"


def _last_line(log: Path) -> str:
    try:
        lines = log.read_bytes()[-4096:].decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return lines[-1][:200] if lines else ""


def _last_look(beat_us: int, offline: bool) -> str:
    """Return when the sender last looked after the stream, where that is longer ago than it should be."""
    if offline:
        return ""
    if not beat_us:
        return ", not sent yet"
    ago = (time.time_ns() // 1000 - beat_us) / 1e6
    return f", last looked after {ago:.0f} s ago" if ago > 5 else ""


def _folder(folder: Path | None) -> SpoolFolder:
    """Return the spool folder. Raises UsageError where it is no spool folder, or belongs to another user."""
    root = (folder or Settings.from_environment().root).expanduser().absolute()
    try:
        os.scandir(root / "streams").close()
        for path in (root / "streams", root / "sender.lock"):
            if path.exists() and not os.access(path, os.R_OK | os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{root} is no spool folder: give the one that finish() named, or set RUNSTREAM_DIR") from None
    except OSError as error:
        raise UsageError(
            f"{error.filename} cannot be used ({error.strerror}): a spool belongs to who logged, run this as that user"
        ) from None
    return SpoolFolder(root)
