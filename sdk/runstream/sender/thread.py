"""The sender as a thread of the training process, where no process can be started (`sender="thread"`).

It shares the interpreter with the training loop, and ends with it: records that are left wait in the spool.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading

from runstream.sender.node_sender import Sender
from runstream.spool import files
from runstream.spool.folder import SpoolFolder

LOG = logging.getLogger("runstream.sender")
_STOP_S = 2.0


class _SenderThread:
    def __init__(self, spool: SpoolFolder, lock: files.FileLock, patience_s: float) -> None:
        self.sender = Sender(spool, patience_s)
        self.lock = lock
        self.thread = threading.Thread(target=self._run, name="runstream-sender", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            asyncio.run(self.sender.run())
        except Exception:
            LOG.exception("the sender's thread ended")
        finally:
            self.lock.release()

    def stop(self) -> None:
        self.sender.stop()
        self.thread.join(_STOP_S)


_running: _SenderThread | None = None
_registered = False


def ensure_thread(spool: SpoolFolder, patience_s: float) -> None:
    """Start the thread, unless it runs, or another process is the folder's sender. Raises OSError."""
    global _running, _registered
    if (_running is not None and _running.thread.is_alive()) or files.is_locked(spool.sender_lock):
        return
    lock = files.FileLock(spool.sender_lock)
    if not lock.acquire():
        return
    if not _registered:
        _registered = True
        os.register_at_fork(after_in_child=_forget)
    _running = _SenderThread(spool, lock, patience_s)


def stop() -> None:
    """Stop the thread at exit, when the runs are finished."""
    if _running is not None:
        _running.stop()


def _forget() -> None:
    """Forget the thread in a forked child: the thread and its lock belong to the parent."""
    global _running
    if _running is not None:
        _running.lock.forget()
        _running = None
