"""Records what this version's SDK sends, to be read by all later servers: `python -m tests.faults.record_batches`.

Run it at each release, and commit the file: `tests/faults/batches/v<version>.json`.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
from pathlib import Path
from typing import Any

BATCHES = Path(__file__).with_name("batches")
ROWS = 300


def value(metric: int, step: int) -> float:
    return metric * 1000.0 + step / 8


def record() -> dict[str, Any]:
    """Log a known run offline, and read its spool as the sender would."""
    folder = tempfile.mkdtemp()
    os.environ |= {"RUNSTREAM_DIR": folder, "RUNSTREAM_SYSTEM_METRICS": "false", "RUNSTREAM_CONSOLE": "off"}
    import runstream
    from runstream.sender.batch import BatchBuilder
    from runstream.spool import format
    from runstream.spool.format import SpoolPosition
    from runstream.spool.reader import SpoolReader
    from runstream.version import VERSION
    from runstream_proto.v1 import ingest_pb2 as pb

    run = runstream.init(
        project="recorded",
        entity="main",
        id="recorded",
        mode="offline",
        config={"lr": 0.1},
        tags=["old"],
        rank=0,
        world_size=1,
        settings=runstream.Settings(capture_environment=False),
    )
    for step in range(ROWS):
        run.log({f"metric {metric}": value(metric, step) for metric in range(3)}, step=step)
        if step % 100 == 0:
            run.log({"note": f"step {step}", "weights": runstream.Histogram([1.0, 2.0, step])}, step=step)
    run.finish()
    (stream,) = (Path(folder) / "streams").iterdir()

    class Small(BatchBuilder):
        """Several batches of a short run."""

        def row(self, keyset: tuple[str, ...], number: int, time_us: int, step_and_values: memoryview) -> bool:
            return self._rows < ROWS // 4 and super().row(keyset, number, time_us, step_and_values)

    reader, batches = SpoolReader(stream, SpoolPosition(0, format.HEADER_BYTES)), []
    while True:
        builder = Small()
        done = reader.drain(builder, dead=True)
        if builder:
            path = pb.RunPath(team="main", project="recorded", run="recorded")
            batches.append(base64.b64encode(builder.build(path, stream.name, 0)).decode())
        if done:
            break
    return {"version": VERSION, "writer": stream.name, "rows": ROWS, "batches": batches}


if __name__ == "__main__":
    found = record()
    BATCHES.mkdir(exist_ok=True)
    path = BATCHES / f"v{found['version']}.json"
    path.write_text(json.dumps(found, indent=1) + "\n")
    print(path)
