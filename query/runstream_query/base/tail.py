"""Finds errors in the end of a stream from the engine: an error after the first bytes is reported there."""

from __future__ import annotations

import re

from runstream_common.clickhouse.client import StorageRefusedError

_LONGEST = 16 << 10
"""Bytes of ClickHouse's message about one error, with its marks."""
_ERROR = re.compile(
    rb"\r\n__exception__\r\n(\w+)\r\n(Code: (\d+).*)\d+ \1\r\n__exception__\r\n\Z",
    re.DOTALL,
)


class Tail:
    """Passes pieces on, and holds back as many of the last bytes as an error can take: an error belongs to no file."""

    def __init__(self) -> None:
        self._held = b""

    def pass_on(self, piece: bytes) -> bytes:
        """Return bytes that certainly belong to the file; they may be empty."""
        data = self._held + piece
        self._held = data[-_LONGEST:]
        return data[:-_LONGEST]

    def end(self) -> bytes:
        """Return the rest of the file. Raises StorageRefusedError where the engine says that the file is incomplete."""
        found = _ERROR.search(self._held)
        if found is not None:
            raise StorageRefusedError(found[2].decode("utf-8", "replace").splitlines()[0][:500], int(found[3]))
        return self._held
