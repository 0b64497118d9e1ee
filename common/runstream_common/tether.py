"""`python -m runstream_common.tether FD MODULE ...`: run a module in a process that does not outlive its parent.

FD is the read end of a pipe whose only write end the parent holds: nobody writes, and its end is the parent's death,
whatever killed it. The pipe is looked at before the module is loaded and watched from then on, so no moment is missed:
a parent that died before this process came to its first line is seen as well. The kernel's own signal (Linux) comes
beside it, for a process that is inside of a C library and runs no Python.

Only the standard library is imported here: what takes long to load is loaded under the watch.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import select
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1
GRACE_S = 3.5
"""For ending in order after the parent's death; what is left then is killed. All that is acked is on disk by then: the
grace only spares clients broken answers. It is shorter than a restart's patience with those who still end."""


def main() -> None:
    """Raises SystemExit, with the module's status."""
    fd, module = int(sys.argv[1]), sys.argv[2]
    os.set_inheritable(fd, False)
    _get_signal_of_kernel()
    if _has_ended(fd):
        sys.exit(f"{module}: the process that started it has died")
    threading.Thread(target=_watch, args=(fd,), name="tether", daemon=True).start()
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _get_signal_of_kernel() -> None:
    """SIGTERM when the thread dies that forked this process: the parent's main thread. It is nothing when the parent is
    dead already; the look at the pipe that follows sees that."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _has_ended(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def _watch(fd: int) -> None:
    while os.read(fd, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
