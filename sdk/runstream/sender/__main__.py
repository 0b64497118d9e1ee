"""`python -m runstream.sender --dir DIR`: what a training process starts when its node has no sender."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from pathlib import Path

from runstream.sender.process import hold_and_run
from runstream.spool.folder import SpoolFolder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="the spool's folder")
    parser.add_argument("--patience", type=float, default=600.0, help="seconds to go on after the last trainer")
    arguments = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s [sender %(process)d] %(message)s", stream=sys.stderr
    )
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the trainer; the sender ends when its work does
    os.nice(5)  # training comes first
    spool = SpoolFolder(arguments.dir)
    spool.prepare()
    hold_and_run(spool, arguments.patience)
    return 0


if __name__ == "__main__":
    sys.exit(main())
