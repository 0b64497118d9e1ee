"""`python -m runstream.sender --dir DIR`: the process that a training process starts when its node has no sender.

The election comes first and costs 0.1 s of a processor: only the winner loads gRPC and the rest (0.7 s, ten times that
on a busy node). Otherwise the trainers, which check every half second, would start senders faster than the node can
load them.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
from pathlib import Path

from runstream.spool import files
from runstream.spool.folder import SpoolFolder, remove_beginnings
from runstream.version import VERSION

LOG = logging.getLogger("runstream.sender")
_ELECTION_S = 2.0
"""How long the election waits for the lock. A trainer that checks for a sender holds the lock for an instant; one check
must not end a new sender."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="the spool's folder")
    parser.add_argument("--patience", type=float, default=600.0, help="seconds to go on after the last trainer")
    arguments = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s [sender %(process)d] %(message)s", stream=sys.stderr
    )
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for the trainer; the sender ends with its work
    os.nice(5)  # training comes first
    LOG.info("started by process %s, runstream %s", os.getppid(), VERSION)
    spool = SpoolFolder(arguments.dir)
    spool.prepare()
    lock = files.FileLock(spool.sender_lock)
    if not lock.acquire(_ELECTION_S):
        LOG.info("ends at once: another sender has %s", spool.root)
        return 0
    try:
        lock.write_note(f"{os.getpid()} {time.time():.0f}\n")
        LOG.info("has the lock of %s", spool.root)
        remove_beginnings(spool)
        return _run(spool, arguments.patience)
    finally:
        lock.release()


def _run(spool: SpoolFolder, patience_s: float) -> int:
    started = time.monotonic()
    try:
        import asyncio

        from runstream.sender.node_sender import Sender

        sender = Sender(spool, patience_s)
        asyncio.run(sender.run())
    except BaseException as error:
        LOG.exception("ends after %.0f s: %r", time.monotonic() - started, error)
        return 1
    LOG.info("ends after %.0f s: %s; %s streams stored", time.monotonic() - started, sender.end, sender.finished)
    return 0


if __name__ == "__main__":
    sys.exit(main())
