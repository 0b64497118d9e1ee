"""Mapped files and locks: the functions of the file system that both halves of the spool need."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import time
from pathlib import Path

from runstream.errors import SpoolError


def allocate(path: Path, size: int) -> int:
    """Create `path` with `size` allocated bytes and return its descriptor (read-write, close-on-exec).

    The file is never sparse: on a sparse mapping a full disk is a SIGBUS in the training job.
    Raises SpoolError when the disk is full or the folder cannot be written.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SpoolError(f"cannot write the spool file {path}: {error.strerror}") from error
    try:
        try:
            os.posix_fallocate(fd, 0, size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
            # The file system cannot allocate: write zeros instead.
            block = b"\0" * min(size, 1 << 16)
            for start in range(0, size, len(block)):
                os.pwrite(fd, block[: size - start], start)
    except OSError as error:
        os.close(fd)
        with contextlib.suppress(OSError):
            path.unlink()
        raise SpoolError(f"cannot allocate {size} bytes for the spool file {path}: {error.strerror}") from error
    return fd


def map_new(path: Path, size: int) -> mmap.mmap:
    """Create, allocate and map a file read-write. Raises SpoolError."""
    fd = allocate(path, size)
    try:
        return mmap.mmap(fd, size)
    except (OSError, ValueError) as error:
        raise SpoolError(f"cannot map the spool file {path}: {error}") from error
    finally:
        os.close(fd)


def map_existing(path: Path, *, writable: bool = False) -> mmap.mmap:
    """Map a complete file. Raises OSError or ValueError (empty file)."""
    fd = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC)
    try:
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        return mmap.mmap(fd, 0, access=access)
    finally:
        os.close(fd)


class FileLock:
    """An flock held by an open descriptor: it ends with the process, whatever kills it.

    A forked child shares the descriptor, and so would keep its dead parent's lock: it must call `forget()`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def acquire(self, patience_s: float = 0.0) -> bool:
        """Take the lock if no process has it within `patience_s`: `is_locked` holds it for an instant."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(0.02)
                    continue
                os.close(fd)
                return False
            self._fd = fd
            return True

    def release(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

    def write_note(self, text: str) -> None:
        """Write into the file who holds the lock, for people; see `read_note`."""
        assert self._fd is not None
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, text.encode(), 0)

    def descriptors(self) -> tuple[int, ...]:
        """Return the descriptors for a child process that must hold the lock too."""
        return () if self._fd is None else (self._fd,)

    def forget(self) -> None:
        """Drop the shared descriptor in a forked child; the parent's lock stays."""
        self.release()


def read_note(path: Path) -> str:
    """Return the text that the holder of a lock wrote into its file; return an empty text when there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")[:1024].strip()
    except OSError:
        return ""


def is_locked(path: Path) -> bool:
    """Return True when some process holds the lock file. A file that does not exist is not locked.

    The lock is tried in shared mode: of two processes that look at once, neither takes the other for a holder.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def private_folder(path: Path) -> Path:
    """Make `path` a folder that only this user can enter.

    Raises SpoolError when it belongs to somebody else or cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
        if status.st_uid != os.geteuid():
            raise SpoolError(f"the folder {path} belongs to user {status.st_uid}: set RUNSTREAM_DIR to one of yours")
        if status.st_mode & 0o077:
            path.chmod(0o700)
    except OSError as error:
        raise SpoolError(f"cannot use the folder {path}: {error.strerror}; set RUNSTREAM_DIR to another") from error
    return path
