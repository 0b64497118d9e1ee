"""The sender's loop: find streams, give each a carrier, end when nothing is left."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

from runstream.errors import SpoolError
from runstream.sender.carrier import Carrier
from runstream.sender.companion import Companions
from runstream.sender.consoles import Consoles
from runstream.sender.link import Links
from runstream.sender.system import SystemSampler
from runstream.spool import files
from runstream.spool.folder import SpoolFolder, read_meta

LOG = logging.getLogger("runstream.sender")
SCAN_S = 0.1
_ELECTION_S = 0.5
"""A trainer that looks whether there is a sender holds the lock for an instant: one look must not end a new sender."""
_SIDE_WORK_S = 0.5
"""How often consoles are read and system metrics looked at."""
LINGER_S = 10.0
"""How long it waits for a next run before it ends: jobs often start several in a row."""


class Sender:
    """Carries all streams of one folder. The caller holds the folder's lock, or leaves the side work out."""

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
        """`patience_s`: how long to go on trying when all trainers are gone. `retry_s`: how soon to look again at a
        stream that cannot be opened, because another sender has it, say. `side_work`: "all": read consoles and sample
        the system too; "leftovers": read the consoles of dead processes; "none". Only who holds the folder's lock may
        do such work."""
        self._spool = spool
        self._patience_s = patience_s
        self._include_offline = include_offline
        self._linger_s = linger_s
        self._retry_s = retry_s
        self._side_work = side_work
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._carriers: dict[str, Carrier] = {}
        self._skipped: dict[str, float] = {}
        self._stopping = False
        self._companions = Companions(spool)
        self._consoles = Consoles(spool, self._companions, only_dead=side_work == "leftovers")
        self._system = SystemSampler(spool, self._companions)
        self._next_side_work = 0.0
        self._side_busy = False
        self.finished = 0
        """Streams stored to their end."""

    def waiting(self) -> tuple[int, int]:
        """Streams that are not done yet, and records read but not acked in them."""
        return len(self._tasks), sum(carrier.waiting_records for carrier in self._carriers.values())

    def is_behind(self, name: str) -> bool:
        """Whether the stream has records that are not stored yet, or another sender has it."""
        carrier = self._carriers.get(name)
        return carrier is None or carrier.behind

    def troubles(self) -> list[str]:
        """The last error of each stream that has one."""
        return sorted({error for carrier in self._carriers.values() if (error := carrier.last_error())})

    def stop(self) -> None:
        """End soon, whatever is left. Any thread may call."""
        self._stopping = True

    async def run(self) -> None:
        """Return when nothing is left, or nothing moves and patience has ended."""
        links = Links()
        last_busy = last_hope = time.monotonic()
        try:
            while not self._stopping:
                self._do_side_work()
                self._start_new(links)
                self._collect()
                now = time.monotonic()
                if self._tasks or self._side_busy:
                    last_busy = now
                    if any(not carrier.idle_since_death for carrier in self._carriers.values()) or self._side_busy:
                        last_hope = now
                    elif now - last_hope > self._patience_s:
                        LOG.warning("giving up for now: %s streams wait in %s", len(self._tasks), self._spool.root)
                        return
                else:
                    last_hope = now
                    if now - last_busy > self._linger_s:
                        return
                if not self._spool.streams.exists():
                    return
                await asyncio.sleep(SCAN_S)
        finally:
            self._companions.close()
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            for carrier in self._carriers.values():
                carrier.close()
            await links.close()

    def _do_side_work(self) -> None:
        """What the sender does for the node's processes beside sending."""
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
        except Exception:  # sending goes on whatever is wrong with sampling
            LOG.exception("system metrics and consoles")

    def _start_new(self, links: Links) -> None:
        now = time.monotonic()
        for folder in self._spool.stream_folders():
            name = folder.name
            if name in self._tasks or self._skipped.get(name, 0.0) > now:
                continue
            carrier = self._open(folder, links)
            if carrier is None:
                self._skipped[name] = now + self._retry_s
                continue
            self._carriers[name] = carrier
            self._tasks[name] = asyncio.create_task(carrier.carry(), name=name)

    def _open(self, folder: Path, links: Links) -> Carrier | None:
        try:
            if read_meta(folder).offline and not self._include_offline:
                return None
            return Carrier(self._spool, folder, links)
        except BlockingIOError:
            return None
        except FileNotFoundError:
            return None
        except (SpoolError, OSError, ValueError) as error:
            LOG.error("cannot send the stream %s: %s", folder, error)
            return None

    def _collect(self) -> None:
        for name, task in list(self._tasks.items()):
            if not task.done():
                continue
            del self._tasks[name]
            carrier = self._carriers.pop(name)
            error = task.exception()
            if error is None:
                self.finished += 1
                continue
            LOG.error("stream %s failed and is tried again: %r", name, error, exc_info=error)
            carrier.close()
            self._skipped[name] = time.monotonic() + 5.0


def hold_and_run(spool: SpoolFolder, patience_s: float) -> bool:
    """Become the folder's sender and run to the end. False when another process is it already."""
    lock = files.FileLock(spool.sender_lock)
    if not lock.acquire(_ELECTION_S):
        return False
    try:
        asyncio.run(Sender(spool, patience_s).run())
    finally:
        lock.release()
    return True
