"""Leaves streams of a dead process in this node's spool: `python -m tests.faults.dead_streams PROJECT STREAMS ROWS`.

Each is a run with some rows; their process dies without a word.
"""

from __future__ import annotations

import os
import sys

import runstream


def main() -> None:
    project, streams, rows = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    settings = runstream.Settings(capture_environment=False)
    for number in range(streams):
        run = runstream.init(project=project, id=f"dead-{number}", reinit="create_new", settings=settings)
        for row in range(rows):
            run.log({"value": float(row)}, step=row)
    os._exit(9)


if __name__ == "__main__":
    main()
