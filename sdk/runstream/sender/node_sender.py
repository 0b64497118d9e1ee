"""The sender's loop: find streams, give each an uploader, end when nothing is left.

Streams of living processes come first: each has an uploader as soon as it is found. The streams of dead processes are
sent a few at a time, newest first, so that a thousand of them neither delay a living run's heartbeats nor send the
server a thousand greetings at once. A dead process's stream that cannot be sent now gives its place to the next one.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path

from runstream.errors import SpoolError
from runstream.sender.companion import Companions
from runstream.sender.consoles import Consoles
from runstream.sender.link import Links
from runstream.sender.stream_uploader import GivesWayError, StreamUploader
from runstream.sender.system_metrics import SystemSampler
from runstream.spool.folder import SpoolFolder, is_alive, read_meta

LOG = logging.getLogger("runstream.sender")
SCAN_S = 0.1
CATCH_UP = 8
"""The most streams of dead processes that are sent at the same time."""
_OPENED_AT_ONCE = 4
"""The most of those that are opened in one turn: opening one may build up to 5 MB of batches again."""
_RESCAN_S = 2.0
"""How often the streams' folder is read although its modification time has not changed."""
_SETTLED_S = 1.0
"""A folder that changed within this time may change again with the same modification time."""
_RETRY_MAX_S = 60.0
_SIDE_WORK_S = 0.5
"""How often consoles are read and system metrics checked."""
LINGER_S = 10.0
"""How long the sender waits for a next run before it ends: jobs often start several runs in a row."""


@dataclass(slots=True)
class _Waiting:
    """A stream of a dead process that waits for its turn."""

    folder: Path
    changed_ns: int
    """The modification time of its folder, in nanoseconds since 1970."""
    not_before: float = 0.0
    delay_s: float = 0.0
    error: str = ""


class Sender:
    """Sends all streams of one folder. The caller holds the folder's lock, or leaves the side work out."""

    def __init__(
        self,
        spool: SpoolFolder,
        patience_s: float,
        *,
        include_offline: bool = False,
        linger_s: float = LINGER_S,
        retry_s: float = 5.0,
        side_work: str = "all",
    ):
        """Make a sender that does not run yet.

        `patience_s`: how long it goes on trying when all trainers are gone. `retry_s`: how soon it tries a stream again
        that cannot be opened, such as one that another sender has. `side_work`: "all": read consoles and sample the
        system too; "leftovers": read the consoles of dead processes; "none". Only the holder of the folder's lock may
        do such work.
        """
        self._spool = spool
        self._patience_s = patience_s
        self._include_offline = include_offline
        self._linger_s = linger_s
        self._retry_s = retry_s
        self._side_work = side_work
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._uploaders: dict[str, StreamUploader] = {}
        self._skipped: dict[str, float] = {}
        self._stopping = False
        self._waiting: dict[str, _Waiting] = {}
        self._unusable: dict[str, str] = {}
        """Streams that could not be opened, and why. The sender does not stay for them."""
        self._failed: dict[str, str] = {}
        """Streams whose uploader ended in an unexpected exception."""
        self._catching_up: dict[str, _Waiting] = {}
        self._scanned_at = -_RESCAN_S
        self._scanned_ns = 0
        self._companions = Companions(spool)
        self._consoles = Consoles(spool, self._companions, only_dead=side_work == "leftovers")
        self._system = SystemSampler(spool, self._companions)
        self._next_side_work = 0.0
        self._side_busy = False
        self.finished = 0
        """The number of streams that were stored to their end."""
        self.end = "told to"
        """The reason why `run()` returned."""

    def waiting(self) -> tuple[int, int]:
        """Return the number of streams that are not done, and of their records that were read but not acked."""
        return len(self._tasks) + len(self._waiting), sum(
            uploader.waiting_records for uploader in self._uploaders.values()
        )

    def is_behind(self, name: str) -> bool:
        """Return whether the stream has records that are not stored yet, or another sender has it."""
        uploader = self._uploaders.get(name)
        return uploader is None or uploader.behind

    def troubles(self) -> list[str]:
        """Return the last error of each stream that has one."""
        errors = {uploader.last_error() for uploader in self._uploaders.values()}
        errors |= {waiting.error for waiting in self._waiting.values()}
        errors |= {reason for name, reason in self._failed.items() if name in self._skipped}
        return sorted(errors - {""})

    def stop(self) -> None:
        """End soon, whatever is left. Any thread may call it."""
        self._stopping = True

    async def run(self) -> None:
        """Send until nothing is left, or until nothing has moved for the time of patience."""
        links = Links()
        last_busy = last_hope = time.monotonic()
        progress = (0, 0)
        try:
            while not self._stopping:
                self._do_side_work()
                self._find_new(links)
                self._catch_up(links)
                self._collect()
                now = time.monotonic()
                before, progress = progress, (self.finished, links.settled)
                if self._tasks or self._waiting.keys() - self._unusable.keys() or self._side_busy:
                    last_busy = now
                    links.living = sum(not uploader.idle_since_death for uploader in self._uploaders.values())
                    if links.living or self._side_busy or progress != before:
                        last_hope = now
                    elif now - last_hope > self._patience_s:
                        left = len(self._tasks) + len(self._waiting)
                        self.end = f"gives up for now, {left} streams wait"
                        LOG.warning("giving up for now: %s streams wait in %s", left, self._spool.root)
                        return
                else:
                    last_hope = now
                    if now - last_busy > self._linger_s:
                        self.end = "nothing is left to send"
                        return
                if not self._spool.streams.exists():
                    self.end = "the spool's folder is gone"
                    return
                await self._pause()
        finally:
            self._companions.close()
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            for uploader in self._uploaders.values():
                uploader.close()
            await links.close()

    async def _pause(self) -> None:
        """Wait for the next turn, or until a place is free for a stream that waits."""
        if self._waiting and self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=SCAN_S, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(SCAN_S)

    def _do_side_work(self) -> None:
        """Read consoles and sample the system for the node's processes."""
        now = time.monotonic()
        if self._side_work == "none" or now < self._next_side_work:
            return
        self._next_side_work = now + _SIDE_WORK_S
        try:
            needed = self._consoles.turn()
            if self._side_work == "all":
                needed |= self._system.turn()
            self._companions.keep_only(needed)
            self._side_busy = bool(needed)
        except Exception:  # sending goes on whatever error sampling has
            LOG.exception("system metrics and consoles")

    def _find_new(self, links: Links) -> None:
        """Start to send streams of living processes; queue streams of dead ones."""
        now = time.monotonic()
        for folder in self._new_folders(now):
            name = folder.name
            if is_alive(folder):
                if (uploader := self._open(folder, links)) is not None:
                    self._start(name, uploader)
            else:
                try:
                    self._waiting[name] = _Waiting(folder, folder.stat().st_mtime_ns)
                except FileNotFoundError:
                    continue

    def _new_folders(self, now: float) -> list[Path]:
        """Return the folders of streams that are neither sent nor queued, and not skipped for a while.

        The folder is read only when it has changed, or a skipped stream is due: hundreds of streams may be there.
        """
        due = [name for name, until in self._skipped.items() if until <= now]
        try:
            changed_ns = self._spool.streams.stat().st_mtime_ns
        except FileNotFoundError:
            return []
        settled = changed_ns == self._scanned_ns and time.time_ns() - changed_ns > _SETTLED_S * 1e9
        if not due and now - self._scanned_at < (_RESCAN_S if settled else SCAN_S / 2):
            return []
        self._scanned_ns, self._scanned_at = changed_ns, now
        for name in due:
            del self._skipped[name]
        known = self._tasks.keys() | self._waiting.keys() | self._skipped.keys()
        return [folder for folder in self._spool.stream_folders() if folder.name not in known]

    def _catch_up(self, links: Links) -> None:
        """Give free places to waiting streams: newest first, because somebody may be waiting for those."""
        running = sum(uploader.idle_since_death for uploader in self._uploaders.values())
        free = min(CATCH_UP - running, _OPENED_AT_ONCE)
        if free <= 0 or not self._waiting:
            return
        now = time.monotonic()
        due = [name for name, waiting in self._waiting.items() if waiting.not_before <= now]
        due.sort(key=lambda name: (self._waiting[name].delay_s > 0, -self._waiting[name].changed_ns))
        for name in due[:free]:
            waiting = self._waiting.pop(name)
            if (uploader := self._open(waiting.folder, links)) is not None:
                self._catching_up[name] = waiting
                self._start(name, uploader)

    def _start(self, name: str, uploader: StreamUploader) -> None:
        self._uploaders[name] = uploader
        self._tasks[name] = asyncio.create_task(uploader.upload(), name=name)

    def _open(self, folder: Path, links: Links) -> StreamUploader | None:
        """Return the uploader of a stream, or None when the stream cannot be sent now: it is skipped for a while."""
        name = folder.name
        try:
            if read_meta(folder).offline and not self._include_offline:
                self._skipped[name] = math.inf
                return None
            uploader = StreamUploader(self._spool, folder, links)
        except BlockingIOError:
            reason = "another sender has it"
        except FileNotFoundError:
            reason = "it is gone"
        except (SpoolError, OSError, ValueError) as error:
            reason = str(error)
            if self._unusable.get(name) != reason:
                LOG.error("cannot send the stream %s: %s", folder, error)
        else:
            self._unusable.pop(name, None)
            return uploader
        self._unusable[name] = reason
        self._skipped[name] = time.monotonic() + self._retry_s
        return None

    def _collect(self) -> None:
        for name, task in list(self._tasks.items()):
            if not task.done():
                if not self._uploaders[name].folder.exists():
                    task.cancel()  # somebody set the stream aside
                continue
            del self._tasks[name]
            uploader = self._uploaders.pop(name)
            waiting = self._catching_up.pop(name, None)
            if task.cancelled():
                uploader.close()
                continue
            error = task.exception()
            if error is None:
                self.finished += 1
                continue
            uploader.close()
            if isinstance(error, GivesWayError):
                self._wait_again(uploader, waiting, error)
                continue
            LOG.error("stream %s failed and is tried again: %r", name, error, exc_info=error)
            self._failed[name] = f"{uploader.meta.project}/{uploader.meta.run} cannot be sent: {error!r}"
            self._skipped[name] = time.monotonic() + 5.0

    def _wait_again(self, uploader: StreamUploader, waiting: _Waiting | None, error: GivesWayError) -> None:
        """Queue a stream again, behind those that were not tried yet.

        The delay doubles while nothing of the stream is stored.
        """
        if waiting is None:
            waiting = _Waiting(uploader.folder, time.time_ns())
        if uploader.moved:
            waiting.delay_s = 0.0
        waiting.delay_s = min(max(2 * waiting.delay_s, error.least_s), max(_RETRY_MAX_S, error.least_s))
        waiting.not_before = time.monotonic() + waiting.delay_s * random.uniform(0.75, 1.25)  # noqa: S311
        waiting.error = str(error)
        self._waiting[uploader.folder.name] = waiting
