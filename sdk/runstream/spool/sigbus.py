"""A segment that is truncated or vanishes under its mapping must not kill the process that has it mapped.

Touching a mapped page that its file no longer has raises SIGBUS, which ends the process. While a mapping is guarded, a
handler puts zero pages of its own in that place, from the page that was touched to the mapping's end, notes it
(`Guard.broken`), and lets the instruction run again. Bytes that are written there are in no file: a writer must read
`broken` after filling a record, and append the record again elsewhere. A reader sees zeros.

How it works. The handler is a callback of ctypes, installed with the C library's `sigaction` when the first mapping is
guarded. Faults on our mappings are synchronous and happen at known points: in `struct.pack_into`, a copy to a
memoryview, or `zlib.crc32`, in a thread of Python's. There Python code may run. A fault anywhere else is not ours: the
handler restores the handler that was installed before, and returns; the instruction faults again and meets that one, or
ends the process as it would have.

Other handlers. A handler that was installed earlier (faulthandler, torch) gets the faults that are not ours. A handler
that is installed later takes our place: until the next `guard()`, with the next segment, a fault ends the process as it
did without this module; `guard()` then takes the place again and passes on faults that are not ours.

Limits. It works only on Linux with ctypes and 64 bits; elsewhere a guard does nothing (`available()` is False). A
foreign fault in a thread that Python does not know waits for the interpreter lock before it is passed on; if the holder
of that lock waits for the thread, the process hangs where it would have died.
"""

from __future__ import annotations

import mmap
import os
import signal
import sys
import weakref
from collections.abc import Callable
from types import ModuleType

_SA_SIGINFO = 4
_MAP_ANONYMOUS, _MAP_FIXED = 0x20, 0x10
_ADDRESS_OFFSET = 16
"""The offset of `si_addr` in `siginfo_t`."""


class SigbusGuard:
    """A guarded mapping, which the guard does not keep alive.

    The guard ends with the mapping, or with `release()`, which must come before `close()` of a mapping that lives on as
    an object.
    """

    __slots__ = ("__weakref__", "_end", "_mapping", "_start", "_tell", "broken")

    def __init__(self, mapping: mmap.mmap, start: int, end: int, tell: Callable[[], None] | None = None) -> None:
        """Describe the mapping.

        `tell` is called within the handler when the mapping breaks: it may set a flag, and no more.
        """
        self._tell = tell
        self.broken = False
        """True when some pages are in no file any more: bytes that were written since may be lost."""
        self._start = start
        self._end = end
        self._mapping = weakref.ref(mapping)  # without a callback: Ctrl-C that came during it would be lost

    def release(self) -> None:
        """End the guard. `broken` stays as it is."""
        _guards.pop(self._start, None)

    @property
    def gone(self) -> bool:
        """Whether the mapping no longer exists."""
        return self._mapping() is None

    def covers(self, address: int) -> bool:
        """Return whether the address is in the mapping, and the mapping still exists."""
        if not self._start <= address < self._end:
            return False
        mapping = self._mapping()
        return mapping is not None and not mapping.closed

    @property
    def end(self) -> int:
        return self._end


_guards: dict[int, SigbusGuard] = {}
"""The guards by address. The next `guard()` drops those of mappings that no longer exist."""
_handler: _Handler | None = None
_unavailable = False


def available() -> bool:
    """Return whether mappings can be guarded in this process."""
    return _load() is not None


def guard(mapping: mmap.mmap, tell: Callable[[], None] | None = None) -> SigbusGuard:
    """Guard a mapping from now on. Costs some microseconds; the first call loads ctypes. Never raises.

    `tell` is called within the handler when the mapping breaks: it may set a flag, and no more.
    """
    handler = _load()
    if handler is None:
        return SigbusGuard(mapping, 0, 0)
    try:
        start = handler.address_of(mapping)
        end = start + (len(mapping) + mmap.PAGESIZE - 1) // mmap.PAGESIZE * mmap.PAGESIZE
        for address in [address for address, one in list(_guards.items()) if one.gone]:
            _guards.pop(address, None)
        guarded = SigbusGuard(mapping, start, end, tell)
        _guards[start] = guarded
        handler.take_place()
    except (OSError, ValueError, BufferError):
        return SigbusGuard(mapping, 0, 0)
    return guarded


def _load() -> _Handler | None:
    global _handler, _unavailable
    if _handler is None and not _unavailable:
        try:
            if not sys.platform.startswith("linux") or sys.maxsize < 1 << 32:
                raise OSError("not known here")
            _handler = _Handler()
        except (ImportError, OSError, AttributeError, MemoryError):  # ctypes, or executable memory for it, is missing
            _unavailable = True
    return _handler


class _Handler:
    """The functions of the C library that are needed. They keep the interpreter lock: no thread may come in between."""

    def __init__(self) -> None:
        import ctypes

        class Action(ctypes.Structure):
            _fields_ = (
                ("handler", ctypes.c_void_p),
                ("mask", ctypes.c_ubyte * 128),
                ("flags", ctypes.c_int),
                ("restorer", ctypes.c_void_p),
            )

        class Buffer(ctypes.Structure):
            _fields_ = (("start", ctypes.c_void_p), ("rest", ctypes.c_byte * 128))

        self._ctypes: ModuleType = ctypes
        self._buffer = Buffer
        library = ctypes.PyDLL(None, use_errno=False)
        self._sigaction = library.sigaction
        self._mmap = library.mmap
        self._mmap.restype = ctypes.c_void_p
        self._mmap.argtypes = (
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_long,
        )
        self._callback = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(self._handle)
        self._ours = Action()
        self._ours.handler = ctypes.cast(self._callback, ctypes.c_void_p)
        self._ours.flags = _SA_SIGINFO
        self._before = Action()
        self._now = Action()

    def address_of(self, mapping: mmap.mmap) -> int:
        buffer = self._buffer()
        api = self._ctypes.pythonapi
        api.PyObject_GetBuffer(self._ctypes.py_object(mapping), self._ctypes.byref(buffer), 0)
        try:
            return int(buffer.start)
        finally:
            api.PyBuffer_Release(self._ctypes.byref(buffer))

    def take_place(self) -> None:
        """Install the handler, unless it is installed. The handler before it gets the faults that are not ours."""
        reference = self._ctypes.byref
        if self._sigaction(int(signal.SIGBUS), None, reference(self._now)):
            raise OSError("sigaction")
        if self._now.handler != self._ours.handler:
            self._ctypes.memmove(reference(self._before), reference(self._now), self._ctypes.sizeof(self._now))
            if self._sigaction(int(signal.SIGBUS), reference(self._ours), None):
                raise OSError("sigaction")

    def _handle(self, number: int, information: int, _context: int) -> None:
        code = self._ctypes.c_int.from_address(information + 8).value
        if code > 0:  # it is a fault; else a process sent the signal
            address = self._ctypes.c_void_p.from_address(information + _ADDRESS_OFFSET).value or 0
            for guarded in list(_guards.values()):
                if guarded.covers(address):
                    start = address & ~(mmap.PAGESIZE - 1)
                    kind = mmap.MAP_PRIVATE | _MAP_ANONYMOUS | _MAP_FIXED
                    protection = mmap.PROT_READ | mmap.PROT_WRITE
                    if self._mmap(start, guarded.end - start, protection, kind, -1, 0) == start:
                        guarded.broken = True
                        if guarded._tell is not None:
                            guarded._tell()
                        return
        self._sigaction(number, self._ctypes.byref(self._before), None)
        if code <= 0:
            os.kill(os.getpid(), number)  # the signal is blocked until this returns


__all__ = ["SigbusGuard", "available", "guard"]
