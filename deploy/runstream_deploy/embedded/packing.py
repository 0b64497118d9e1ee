"""Content encodings of answers, whole or piece by piece."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping
from typing import Protocol

import lz4.frame
import zstandard


class Packer(Protocol):
    """Compress one answer: with `whole`, or with `add` for each piece and `finish` at the end."""

    name: str

    def whole(self, data: bytes) -> bytes: ...

    def add(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


_REFUSED = re.compile(r"q\s*=\s*0(?:\.0*)?")


def choose_packer(query: Mapping[str, str], headers: Mapping[str, str]) -> Packer | None:
    """Return a packer for the first known encoding that the client lists, or None.

    As in ClickHouse, nothing is compressed unless the client sets `enable_http_compression`.
    """
    if query.get("enable_http_compression") != "1":
        return None
    for part in headers.get("accept-encoding", "").split(","):
        name, _, quality = (word.strip().lower() for word in part.partition(";"))
        kind = _PACKERS.get(name)
        if kind is not None and not _REFUSED.fullmatch(quality):
            return kind()
    return None


class _Zstd:
    def __init__(self) -> None:
        self.name = "zstd"
        self._object = zstandard.ZstdCompressor(level=1).compressobj()

    def whole(self, data: bytes) -> bytes:
        return zstandard.ZstdCompressor(level=1).compress(data)

    def add(self, data: bytes) -> bytes:
        return self._object.compress(data)

    def finish(self) -> bytes:
        return self._object.flush()


class _Lz4:
    def __init__(self) -> None:
        self.name = "lz4"
        self._frame = lz4.frame.LZ4FrameCompressor()
        self._begun = False

    def whole(self, data: bytes) -> bytes:
        return bytes(lz4.frame.compress(data))

    def add(self, data: bytes) -> bytes:
        head = b"" if self._begun else self._frame.begin()
        self._begun = True
        return bytes(head + self._frame.compress(data))

    def finish(self) -> bytes:
        return bytes(self._frame.flush())


class _Gzip:
    def __init__(self) -> None:
        self.name = "gzip"
        self._object = zlib.compressobj(1, wbits=31)

    def whole(self, data: bytes) -> bytes:
        return gzip.compress(data, 1, mtime=0)

    def add(self, data: bytes) -> bytes:
        return self._object.compress(data)

    def finish(self) -> bytes:
        return self._object.flush()


_PACKERS: dict[str, type[_Zstd] | type[_Lz4] | type[_Gzip]] = {
    "zstd": _Zstd,
    "lz4": _Lz4,
    "gzip": _Gzip,
    "x-gzip": _Gzip,
}
