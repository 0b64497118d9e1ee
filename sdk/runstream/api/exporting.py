"""The full history of runs as a file, an Arrow reader, or a frame."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from runstream.api.convert import as_list
from runstream.api.frames import check_format, from_arrow, need
from runstream.api.progress import TransferProgress
from runstream.errors import InvalidRequestError

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from runstream.api.connection import Connection
    from runstream_proto.v1 import export_pb2 as pb

FORMATS = {"arrow": 1, "parquet": 2, "csv": 3}
_SUFFIXES = {".arrow": "arrow", ".arrows": "arrow", ".parquet": "parquet", ".csv": "csv"}
EXPORT_TIMEOUT_S = 3600.0
"""The limit of an export, in seconds; the server has the same."""


class ExportOptions(TypedDict, total=False):
    """The options of an export of points."""

    format: str
    ranks: Sequence[int]
    min_step: int | None
    max_step: int | None


def export_points(
    api: Connection,
    team: str,
    project: str,
    runs: Sequence[str],
    path: Path,
    keys: Sequence[str] | str | None = None,
    format: str = "",  # the name people expect
    ranks: Sequence[int] = (),
    min_step: int | None = None,
    max_step: int | None = None,
) -> int:
    """Write the points of runs to a file, and return its size in bytes. The file gets its name when it is complete.

    Raises InvalidRequestError, ApiError, OSError.
    """
    kind = format or _SUFFIXES.get(path.suffix, "")
    if kind not in FORMATS:
        raise InvalidRequestError(f"format is {kind!r}: use one of {', '.join(FORMATS)}, or end the path in .parquet")
    request = points_request(team, project, runs, keys, ranks, min_step, max_step, FORMATS[kind])
    with TransferProgress(f"exporting {path.name}", unit="bytes") as progress:
        return write_stream(api, "ExportPoints", request, path, progress)


def write_stream(
    api: Connection, method: str, request: Message, path: Path, progress: TransferProgress | None = None
) -> int:
    """Write a streamed file, and return its size in bytes. The file gets its name when it is complete."""
    hidden = path.with_name(f".{path.name}.part")
    size = 0
    try:
        with hidden.open("wb") as file:
            for chunk in api.stream(method, request, EXPORT_TIMEOUT_S):
                size += file.write(chunk.data)
                if progress is not None:
                    progress.add(len(chunk.data))
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)
    return size


def points_request(
    team: str,
    project: str,
    runs: Sequence[str],
    keys: Sequence[str] | str | None,
    ranks: Sequence[int],
    min_step: int | None,
    max_step: int | None,
    file_format: int,
) -> pb.ExportPointsRequest:
    from runstream_proto.v1 import export_pb2 as pb

    return pb.ExportPointsRequest(
        team=team,
        project=project,
        runs=runs,
        metrics=[] if keys is None else as_list(keys),
        ranks=ranks,
        min_step=min_step,
        max_step=max_step,
        format=file_format,  # type: ignore[arg-type]  # the enum's numbers
    )


def open_points(api: Connection, request: Message) -> Any:
    """Return a `pyarrow.RecordBatchReader` of an export in Arrow; it holds one batch at a time.

    Raises MissingExtraError.
    """
    pa = need("pyarrow")
    chunks = api.stream("ExportPoints", request, EXPORT_TIMEOUT_S)
    return pa.ipc.open_stream(io.BufferedReader(_Chunks(chunks), 1 << 18))


def points_frame(api: Connection, request: Message, kind: str) -> Any:
    check_format(kind)
    return from_arrow(open_points(api, request), kind)


class _Chunks(io.RawIOBase):
    """A readable file made of the messages of a stream."""

    def __init__(self, chunks: Iterator[pb.ExportChunk]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk.data)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
