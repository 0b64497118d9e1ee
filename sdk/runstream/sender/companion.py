"""The sender's own streams beside training processes: for metrics and console lines that it reads on their behalf."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time

from runstream.base.run_names import new_writer_id
from runstream.errors import SpoolError
from runstream.spool import files
from runstream.spool.appending import open_writer
from runstream.spool.folder import SpoolFolder, StreamMeta, beginning, write_meta
from runstream.spool.state import StateFile
from runstream.version import VERSION


class Companion:
    """A stream under the same run and rank, which is sent like every other stream. It is not thread-safe."""

    def __init__(self, spool: SpoolFolder, meta: StreamMeta) -> None:
        """Make the stream's files. Raises SpoolError when there is no space."""
        writer_id = new_writer_id()
        self.folder = spool.streams / writer_id
        hidden = spool.streams / f".new-{writer_id}"
        own = dataclasses.replace(
            meta,
            writer_id=writer_id,
            helper=True,
            system=True,
            system_interval_s=0.0,
            resume="allow",
            created_us=time.time_ns() // 1000,
            pid=os.getpid(),
            sdk_version=VERSION,
        )
        with beginning(hidden):
            files.private_folder(hidden)
            write_meta(hidden, own)
            self._lock = files.FileLock(hidden / "lock")
            if not self._lock.acquire():
                raise SpoolError(f"the new spool stream {hidden} is locked already")
            StateFile(hidden / "state", create=True).close()
            self._writer = open_writer("auto", hidden)
            self.record("start", {"world_size": meta.world_size, "pid": os.getpid(), "helper": True, "system": True})
            self._writer.move(self.folder)

    def row(self, values: dict[str, float], step: int) -> None:
        """Append a row of scalars. Raises SpoolError."""
        if values:
            self._writer.append_row(tuple(values), values.values(), step, time.time_ns() // 1000)

    def record(self, kind: str, value: dict[str, object], time_us: int | None = None) -> None:
        """Append a record. Raises SpoolError."""
        text = json.dumps({"kind": kind, "value": value}, separators=(",", ":"))
        self._writer.append_json(text, time_us)

    def close(self) -> None:
        """Write the finish record, and close the stream."""
        writer = self._writer

        def finish(points: int, records: int) -> str:
            value = {"outcome": "OUTCOME_FINISHED", "points": points, "records": records}
            return json.dumps({"kind": "finish", "value": value}, separators=(",", ":"))

        with contextlib.suppress(SpoolError):  # then the sender of the stream writes its finish record
            writer.end(finish)
        writer.close()
        self._lock.release()


class Companions:
    """The companions of training processes, by the writer id of the process."""

    def __init__(self, spool: SpoolFolder) -> None:
        self._spool = spool
        self._open: dict[str, Companion] = {}

    def of(self, meta: StreamMeta) -> Companion:
        """Return the companion of a process; make it where there is none. Raises SpoolError."""
        companion = self._open.get(meta.writer_id)
        if companion is None:
            companion = self._open[meta.writer_id] = Companion(self._spool, meta)
        return companion

    def keep_only(self, needed: set[str]) -> None:
        """Close the companions of processes that do not need them any more."""
        for writer_id in self._open.keys() - needed:
            self._open.pop(writer_id).close()

    def close(self) -> None:
        self.keep_only(set())
