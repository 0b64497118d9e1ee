"""The sentences by which `finish()` tells people what became of a run's records."""

from __future__ import annotations

from runstream.base.notices import Notices
from runstream.runs.run_identity import RunIdentity
from runstream.runs.stream import Stream
from runstream.settings import Settings
from runstream.spool.state import SendProgress


class Goodbye:
    """Says what was stored, what waits, and what was lost."""

    def __init__(self, settings: Settings, identity: RunIdentity, rank: int, notices: Notices) -> None:
        self._settings = settings
        self._identity = identity
        self._rank = rank
        self._notices = notices

    def say(
        self, stream: Stream, stored: bool, progress: SendProgress, timeout: float, *, dropped: int, helper: bool
    ) -> None:
        """Report the end of the stream. `timeout`: how long the process waited; `dropped`: values that were lost."""
        root = stream.spool.root
        run = self._identity.id
        because = f" ({progress.error})" if progress.error else ""
        if dropped:
            self._notices.warn(f"run {run}: {dropped} values were dropped: the spool was full, or they had no step")
        if stream.quota.dropped_bytes:
            megabytes = stream.quota.dropped_bytes >> 20
            self._notices.warn(f"run {run}: {megabytes} MB of unsent records were given up: the spool was full")
        if progress.rejected_batches:
            self._notices.warn(
                f"run {run}: {progress.rejected_batches} batches or records could not be stored; "
                "see `runstream spool rejected`"
            )
        if self._settings.mode == "offline":
            self._notices.say(f"run {run}: recorded in {root}; send it with `runstream sync {root}`")
        elif not stored:
            self._notices.say(
                f"run {run}: recorded in {root}; not yet on the server after {timeout:g} s{because}: "
                f"the sender goes on, or send it with `runstream sync {root}`"
            )
        elif self._rank == 0 and not helper and not self._settings.silent:
            self._say_stored(stream.writer.points)

    def _say_stored(self, points: int) -> None:
        from runstream.server.reachable import page_problem

        problem = page_problem(self._settings)
        stored = f"run {self._identity.name}: {points} {'point' if points == 1 else 'points'} stored"
        if problem:
            self._notices.warn(f"{stored} by the gateway {self._settings.gateway_address}, but {problem}")
        else:
            self._notices.say(f"{stored}; {self._identity.url}")
