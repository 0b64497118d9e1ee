"""`python -m runstream_common.service.tether FD MODULE ...`: run a module that does not outlive its parent.

FD is the read end of a pipe. Only the parent holds the write end, and nobody writes to it: the pipe ends when the
parent dies, whatever killed it. The pipe is checked before the module is loaded, and watched from then on, so no moment
is missed: a parent that died before this process came to its first line is detected as well. The kernel's own signal
(Linux) comes in addition, for a process that is inside of a C library and runs no Python.

Only the standard library is imported here: slow imports happen while the pipe is watched.
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
"""The time to end in order after the parent's death; then the process is killed.

All acked data are on disk by then: the grace only spares clients broken answers. It is shorter than the time for which
a restart waits for old processes.
"""


def main() -> None:
    """Run the module. Raise SystemExit with the module's status."""
    fd, module = int(sys.argv[1]), sys.argv[2]
    os.set_inheritable(fd, False)
    _get_signal_of_kernel()
    if _has_ended(fd):
        sys.exit(f"{module}: the process that started it has died")
    threading.Thread(target=_watch, args=(fd,), name="tether", daemon=True).start()
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _get_signal_of_kernel() -> None:
    """Ask the kernel for SIGTERM when the parent's main thread, which forked this process, dies.

    This has no effect when the parent is dead already; the check of the pipe that follows detects that.
    """
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
