"""One process's stream into the spool: the object that `Run` writes to."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runstream import version as _version
from runstream.base.json_text import dumps
from runstream.base.run_names import new_writer_id
from runstream.data.loggable import Content
from runstream.errors import SpoolClosedError, SpoolError, UsageError
from runstream.ranks.job import Job
from runstream.runs.active_trial import StopOrder
from runstream.runs.document_pieces import records_of
from runstream.sender.spawn import ensure_sender
from runstream.server.key_file import Credentials, key_prefix
from runstream.settings import Settings
from runstream.spool import files, format
from runstream.spool.append_row import AppendRow
from runstream.spool.appending import open_writer
from runstream.spool.folder import SpoolFolder, StreamMeta, beginning, is_alive, write_meta
from runstream.spool.quota import Quota
from runstream.spool.state import StateFile


@dataclass(frozen=True, slots=True)
class Target:
    """The run that a stream belongs to."""

    team: str
    project: str
    run: str
    resume: str
    """never, must or allow."""

    @classmethod
    def of(cls, settings: Settings, run_id: str) -> Target:
        """Return the run of this id as the settings describe it."""
        resume = settings.resume if settings.resume in ("never", "must") else "allow"
        return cls(settings.entity, settings.project, run_id, resume)


class Stream:
    """A stream's files, for the life of the process. They are made complete under a hidden name, then shown."""

    def __init__(
        self,
        settings: Settings,
        target: Target,
        job: Job,
        check_keys: Callable[[tuple[str, ...]], None],
        helper: bool = False,
    ) -> None:
        """Make the stream's files under a hidden name.

        Raises SpoolError when the folder cannot be used, UsageError when the API key is malformed.
        """
        self.spool = SpoolFolder(settings.root)
        self.spool.prepare()
        self.online = settings.mode == "online"
        self.settings = settings
        self.target = target
        self.job = job
        self.helper = helper
        self.writer_id = new_writer_id()
        self.folder = self.spool.streams / self.writer_id
        self._contents = 0
        self._next_check = 0.0
        """When a waiting process checks next that there is a sender (time.monotonic())."""
        hidden = self.spool.streams / f".new-{self.writer_id}"
        with beginning(hidden):
            files.private_folder(hidden)
            write_meta(hidden, self._meta(self._remember_key()))
            self.lock = files.FileLock(hidden / "lock")
            if not self.lock.acquire():
                raise SpoolError(f"the new spool stream {hidden} is locked already")
            self.state = StateFile(hidden / "state", create=True)
            self._hidden: Path | None = hidden
            self.quota = Quota(settings.spool_limit_mb << 20, settings.when_full, self.ensure_sender)
            segment_bytes = settings.spool_segment_kb << 10
            self.writer = open_writer(settings.spool_io, hidden, check_keys, self.quota, segment_bytes)

    def show(self) -> None:
        """Give the stream its name, so that the sender sees it. Call it after the first record is appended."""
        if self._hidden is not None:
            self.writer.move(self.folder)
            self._hidden = None
            self.ensure_sender()

    def ensure_sender(self) -> None:
        """Start the node's sender when there is none. Never raises, never waits."""
        settings = self.settings
        if not self.online and not (settings.system_metrics or settings.console == "auto"):
            return  # a sender has nothing to do: an offline stream waits for `runstream sync`
        try:
            if self.settings.sender == "process":
                ensure_sender(self.spool, self.settings.sender_patience_s)
            elif self.settings.sender == "thread" and self.online:
                # gRPC reports a fork on standard error, which is harmless: the child does not use gRPC.
                os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
                from runstream.sender.thread import ensure_thread

                ensure_thread(self.spool, self.settings.sender_patience_s)
        except OSError as error:
            self.state.set_error(f"no sender process could be started: {error}; set RUNSTREAM_SENDER=thread")

    def append(
        self,
        kind: str,
        value: dict[str, object],
        time_us: int | None = None,
        contents: list[Content] | None = None,
    ) -> int:
        """Append one record that is no row, after the contents it refers to, and return its number.

        A large document is written as several records; the number is the last one's. Raises SpoolError,
        SpoolClosedError (the stream has ended), UsageError (a content is too large).
        """
        number = 0
        # A stream exists only with its first record.
        with contextlib.nullcontext() if self._hidden is None else beginning(self._hidden):
            for name, part in records_of(kind, value):
                record: dict[str, object] = {"kind": name, "value": part}
                if contents:
                    record["contents"] = [self._keep(content) for content in contents]
                number = self.writer.append_json(dumps(record), time_us)
        return number

    def append_finish(self, make_value: Callable[[int, int], dict[str, object]]) -> int:
        """Append the stream's last record, and return its number.

        `make_value` makes its value from the stream's points and records. Returns a number also where the stream has
        ended before. Raises SpoolError.
        """
        try:
            return self.writer.end(
                lambda points, records: dumps({"kind": "finish", "value": make_value(points, records)})
            )
        except SpoolClosedError:
            return self.writer.number

    def stop_order(self) -> StopOrder | None:
        """Return why the server asked the run to stop, as it said through this stream; None where it did not ask."""
        if not self.state.read().stop_requested:
            return None
        try:
            found = json.loads((self.folder / format.STOP_ORDER).read_text(encoding="utf-8"))
            return StopOrder(str(found["cause"]), str(found["reason"]))
        except (OSError, ValueError, KeyError, TypeError):  # an older sender writes no such file
            return StopOrder("", "the server asked this run to stop")

    def wait_acked(self, number: int, deadline: float) -> bool:
        """Wait until record `number` is stored for good, or until `deadline` (time.monotonic()).

        Return whether it is stored.
        """
        pause = 0.002
        while self.state.acked_record() < number:
            now = time.monotonic()
            if now >= deadline:
                return False
            if now >= self._next_check:  # an attribute, so that callers that wait in slices of a second check, too
                self._next_check = now + 0.5
                self.ensure_sender()
            time.sleep(min(pause, max(deadline - now, 0)))
            pause = min(pause * 1.5, 0.05)
        return True

    def abandon(self) -> None:
        """Leave the parent's stream alone, in a forked child."""
        self.lock.forget()
        self.writer.abandon()

    def end(self) -> None:
        """Close the stream for writing: the sender takes over the records that are not sent yet."""
        self.writer.close()
        self.lock.release()

    def alive(self) -> bool:
        return is_alive(self.folder)

    def _keep(self, content: Content) -> list[object]:
        """Put a content where the sender finds it, under a name of its own: the sender deletes it when it is sent."""
        limit = self.settings.max_media_mb << 20
        if content.size_bytes > limit:
            raise UsageError(f"{content.size_bytes} bytes: at most {limit} (max_media_mb)")
        folder = (self._hidden or self.folder) / "media"
        self._contents += 1
        name = f"{self._contents:08d}-{content.sha256[:16]}"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            self.quota.make_media_room(folder, content.size_bytes, lambda: self.writer.closed)
            self._copy(content, folder / name)
        except OSError as error:
            raise SpoolError(f"cannot write to {folder}: {error.strerror}") from error
        return [name, content.sha256, content.size_bytes]

    def _copy(self, content: Content, path: Path) -> None:
        """Write a content to a file. Waits where the disk is full and `when_full` is block. Raises OSError."""
        while True:
            try:
                if content.data is not None:
                    path.write_bytes(content.data)
                else:
                    import shutil

                    assert content.path is not None
                    shutil.copyfile(content.path, path)
            except OSError as error:
                path.unlink(missing_ok=True)
                if error.errno not in (errno.ENOSPC, errno.EDQUOT) or self.writer.closed or not self.quota.wait():
                    raise
                continue
            return

    def _remember_key(self) -> str:
        credentials = Credentials(self.spool.root)
        if self.settings.api_key:
            prefix = key_prefix(self.settings.api_key)
            try:
                credentials.store(self.settings.base_url, self.settings.api_key)
            except OSError as error:
                raise SpoolError(f"cannot write {credentials.path}: {error.strerror}") from error
            return prefix
        return ""

    def _meta(self, prefix: str) -> StreamMeta:
        settings = self.settings
        return StreamMeta(
            writer_id=self.writer_id,
            base_url=settings.base_url,
            gateway=settings.gateway_address,
            gateway_tls=settings.tls,
            key_prefix=prefix,
            team=self.target.team,
            project=self.target.project,
            run=self.target.run,
            rank=self.job.rank,
            world_size=self.job.world_size,
            resume=self.target.resume,
            offline=not self.online,
            helper=self.helper,
            system=False,
            system_interval_s=settings.system_interval_s if settings.system_metrics and not self.helper else 0.0,
            created_us=time.time_ns() // 1000,
            pid=os.getpid(),
            host=socket.gethostname(),
            sdk_version=_version.VERSION,
        )


class StreamOutbox:
    """The outbox of rich values: they write their records to this stream, at this time."""

    def __init__(self, stream: Stream, time_us: int, append_row: AppendRow) -> None:
        self._stream = stream
        self._time_us = time_us
        self._append_row = append_row

    def point(self, key: str, value: float, step: int) -> None:
        self._append_row((key,), (value,), step, self._time_us)

    def record(self, kind: str, value: dict[str, object], contents: list[Content] | None = None) -> None:
        self._stream.append(kind, value, self._time_us, contents)
