"""How much disk a stream may use, and what happens when the quota or the disk is full."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from runstream.errors import SpoolError

POLICIES = ("block", "drop_oldest", "drop_new")
_PAUSE_S = 0.02


class SpoolFullError(SpoolError):
    """The stream uses all the disk that it may use: the record is not written."""


@dataclass(slots=True)
class Quota:
    """The disk quota of a stream; the writer asks it when it needs a new segment, 8 MB at a time.

    `block` waits for the sender to free a segment; `drop_oldest` gives up the oldest segment that is not sent (the
    sender finds the gap and reports what it held); `drop_new` gives up new values (the caller counts them).
    """

    limit_bytes: int
    when_full: str
    waiting: Callable[[], None] = field(default=lambda: None)
    """The function that is called about every second while blocked, to restart the sender if it died."""
    dropped_bytes: int = 0
    """The bytes of the segments that drop_oldest gave up."""

    def make_room(self, folder: Path, current: int, size: int, ended: Callable[[], bool] = lambda: False) -> None:
        """Return when a segment of `size` bytes fits, or when `ended()`: no segment is needed then.

        Raises SpoolFullError (drop_new).
        """
        last_said = time.monotonic()
        while not ended():
            segments = _segments(folder)
            used = sum(bytes_ for _, _, bytes_ in segments)
            if used + size <= self.limit_bytes:
                return
            if self.when_full == "drop_new":
                raise SpoolFullError(
                    f"the spool holds {used >> 20} MB, of {self.limit_bytes >> 20} MB allowed (spool_limit_mb)"
                )
            if self.when_full == "drop_oldest":
                if not self._drop_oldest(segments, current):
                    return  # only the current segment is left: go on, one segment over the quota
                continue
            last_said = self._pause(last_said)

    def make_media_room(self, folder: Path, size: int, ended: Callable[[], bool]) -> None:
        """Return when a file of `size` bytes fits beside those that wait in `folder`, or when `ended()`.

        Only `block` waits: records refer to files, so that no file is given up. Raises SpoolFullError.
        """
        last_said = time.monotonic()
        while not ended():
            waiting = _bytes_in(folder)
            if waiting + size <= self.limit_bytes:
                return
            if self.when_full != "block" or size > self.limit_bytes:
                allowed = f"of {self.limit_bytes >> 20} MB allowed (spool_limit_mb)"
                raise SpoolFullError(f"{waiting >> 20} MB of media wait to be sent, {allowed}")
            last_said = self._pause(last_said)

    def _pause(self, last_said: float) -> float:
        time.sleep(_PAUSE_S)
        if time.monotonic() - last_said <= 1.0:
            return last_said
        self.waiting()
        return time.monotonic()

    def wait(self) -> bool:
        """Wait a moment for a full disk, where the policy is to wait. Return False where it is not."""
        if self.when_full != "block":
            return False
        time.sleep(0.5)
        self.waiting()
        return True

    def found_room(self, folder: Path, current: int, error: SpoolError) -> bool:
        """Wait or drop a segment when the disk itself is full. Return True to try again, False to give up."""
        if self.when_full == "drop_oldest":
            return self._drop_oldest(_segments(folder), current)
        return self.wait()

    def _drop_oldest(self, segments: list[tuple[int, Path, int]], current: int) -> bool:
        for index, path, size in segments:
            if index < current:
                path.unlink(missing_ok=True)
                self.dropped_bytes += size
                return True
        return False


def _bytes_in(folder: Path) -> int:
    total = 0
    for entry in os.scandir(folder):
        with contextlib.suppress(FileNotFoundError):  # it was sent and deleted meanwhile
            total += entry.stat().st_size
    return total


def _segments(folder: Path) -> list[tuple[int, Path, int]]:
    """Return (index, path, bytes) of the segments that exist, oldest first."""
    found = []
    for path in folder.glob("*.seg"):
        try:
            found.append((int(path.stem), path, path.stat().st_size))
        except (FileNotFoundError, ValueError):
            continue  # it was sent and deleted meanwhile
    return sorted(found)
