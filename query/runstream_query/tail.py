"""The end of a stream of the engine's: where something went wrong after the first bytes, it says so there."""

from __future__ import annotations

import re

from runstream_common.clickhouse import StorageRefusedError

_LONGEST = 16 << 10
"""Of ClickHouse's words about one error, with its marks."""
_ERROR = re.compile(
    rb"\r\n__exception__\r\n(\w+)\r\n(Code: (\d+).*)\d+ \1\r\n__exception__\r\n\Z",
    re.DOTALL,
)


class Tail:
    """Passes pieces on, and holds back as much of the end as an error can take: it belongs to no file."""

    def __init__(self) -> None:
        self._held = b""

    def pass_on(self, piece: bytes) -> bytes:
        """What is certainly of the file, or nothing yet."""
        data = self._held + piece
        self._held = data[-_LONGEST:]
        return data[:-_LONGEST]

    def end(self) -> bytes:
        """The rest of the file. Raises StorageRefusedError where the engine says that it is not whole."""
        found = _ERROR.search(self._held)
        if found is not None:
            raise StorageRefusedError(found[2].decode("utf-8", "replace").splitlines()[0][:500], int(found[3]))
        return self._held
