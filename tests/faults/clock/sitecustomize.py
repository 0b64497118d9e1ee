"""A wall clock that is wrong by as many seconds as a file says: for processes that have this folder on their path."""

import mmap
import os
import struct
import time

_path = os.environ.get("FAULTS_CLOCK_FILE")
if _path:
    with open(_path, "rb") as _file:  # noqa: PTH123  # at start-up, as little as possible is imported
        _offset = mmap.mmap(_file.fileno(), 8, prot=mmap.PROT_READ)
    _true_ns = time.time_ns

    def _time_ns() -> int:
        return _true_ns() + struct.unpack("<q", _offset[:8])[0] * 1_000_000_000

    time.time_ns = _time_ns
    time.time = lambda: _time_ns() / 1e9
