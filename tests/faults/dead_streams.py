"""Leaves streams of dead processes in this node's spool: `python -m tests.faults.dead_streams PROJECT STREAMS ROWS`.

Each is a run of a process of its own that logs some rows and dies without a word.
"""

from __future__ import annotations

import os
import sys

import runstream


def main() -> int:
    project, streams, rows = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    for number in range(streams):
        pid = os.fork()
        if not pid:
            _die(project, f"dead-{number}", rows)
        os.waitpid(pid, 0)
    return 0


def _die(project: str, run_id: str, rows: int) -> None:
    try:
        run = runstream.init(project=project, id=run_id, rank=0, world_size=1)
        for row in range(rows):
            run.log({"value": float(row)}, step=row)
    finally:
        os._exit(9)


if __name__ == "__main__":
    sys.exit(main())
