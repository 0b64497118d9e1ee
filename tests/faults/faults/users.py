"""What users do: wrong clocks, old steps, old releases of the SDK."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import struct
import zlib
from pathlib import Path
from typing import Any

import grpc

from runstream_proto.v1 import ingest_pb2 as pb
from runstream_proto.v1 import ingest_pb2_grpc as rpc
from tests.faults.faults.base import Round
from tests.faults.findings import Findings
from tests.faults.lab import Lab
from tests.faults.record_batches import BATCHES, ROWS, value
from tests.faults.workload import ROOT


def clocks(lab: Lab, folder: Path) -> dict[str, Any]:
    """Trainers and senders whose clock is wrong by as much as a file says."""
    folder.mkdir(parents=True, exist_ok=True)
    clock = folder / "clock"
    clock.write_bytes(bytes(8))
    path = f"{Path(__file__).parents[1] / 'clock'}{os.pathsep}{ROOT}"
    return {"extra": {"FAULTS_CLOCK_FILE": str(clock), "PYTHONPATH": path}}


def step_clocks(round: Round) -> None:
    clock = round.workload.folder.parent / f"{round.workload.folder.name}-clock" / "clock"
    for _ in range(5):
        round.pause(0.5, 1.5)
        with clock.open("r+b") as file:
            file.write(struct.pack("<q", round.random.randint(-30, 30) * 3600))
        if round.random.random() < 0.4:
            stream = round.random.choice(round.workload.streams)
            round.workload.kill(stream)
            round.workload.attempt(stream)


def rewrite(round: Round) -> None:
    """Attempts follow each other and log old steps again, while writers come and go: two writers, one key."""
    for _ in range(4):
        round.pause(0.5, 1.5)
        stream = round.random.choice(round.workload.streams)
        if round.random.random() < 0.5:
            round.workload.kill(stream)
        round.workload.attempt(stream)
        if round.random.random() < 0.4 and round.lab.brokers:
            writer = round.random.choice(round.lab.writers)
            round.lab.kill(writer)
            round.lab.revive(writer)


def old_sdk(round: Round) -> None:
    """What every released SDK sent is sent again, while the present one sends too."""
    for path in sorted(BATCHES.glob("v*.json")):
        asyncio.run(_send_recorded(round, path.stem, json.loads(path.read_text())))


async def _send_recorded(round: Round, version: str, recorded: dict[str, Any]) -> None:
    lab = round.lab
    node = lab.nodes()[0]
    run = pb.RunPath(team="main", project="recorded", run="recorded")
    metadata = (("authorization", f"Bearer {lab.key}"),)
    async with grpc.aio.insecure_channel(node["RUNSTREAM_GATEWAY"]) as channel:
        call = rpc.IngestServiceStub(channel).Stream(metadata=metadata)
        await call.write(pb.IngestRequest(hello=pb.Hello(run=run, writer_id=recorded["writer"], world_size=1)))
        assert (await call.read()).WhichOneof("message") == "welcome"
        for number, text in enumerate(recorded["batches"], start=1):
            data = base64.b64decode(text)
            sealed = pb.SealedBatch(number=number, batch=data, crc32=zlib.crc32(data))
            await call.write(pb.IngestRequest(batch=sealed))
            answer = await call.read()
            round.expect(answer.WhichOneof("message") == "ack", f"batch {number} of {version}: {answer}")
        call.cancel()


def check_recorded(round: Round, findings: Findings) -> None:
    run = round.lab.api.run("recorded/recorded")
    round.expect(run.completeness["verdict"] == "complete", f"recorded batches: {run.completeness}")
    round.expect(
        run.config == {"lr": 0.1} and list(run.tags) == ["old"], f"recorded config {run.config}, tags {run.tags}"
    )
    for series in run.series():
        metric = int(series.metric.split()[1])
        wanted = [value(metric, step) for step in range(ROWS)]
        round.expect(list(series.values) == wanted, f"recorded {series.metric} is not what was logged")


def threaded(lab: Lab, folder: Path) -> dict[str, Any]:
    """Four threads that log wide rows, so that segments roll often; the main thread forks now and then."""
    return {"threads": 4, "forks": True, "metrics": 30, "rows_per_s": 250.0, "runs": 1}


def rolling(lab: Lab, folder: Path) -> dict[str, Any]:
    """As `threaded`, over segments of the smallest size: a fork often meets a roll."""
    return {**threaded(lab, folder), "extra": {"RUNSTREAM_SPOOL_SEGMENT_KB": "8"}}


def with_workers(lab: Lab, folder: Path) -> dict[str, Any]:
    """A data loader's workers log, two of them forked and one spawned."""
    return {"workers": 3, "runs": 1, "rows_per_s": 100.0}


def leaving_threads(lab: Lab, folder: Path) -> dict[str, Any]:
    """`sys.exit` in every thread, and no `finish()`."""
    return {"threads": 3, "habit": "exits", "runs": 2}


def daemon_threads(lab: Lab, folder: Path) -> dict[str, Any]:
    """Daemon threads log while the interpreter ends."""
    return {"threads": 3, "habit": "daemons", "runs": 2, "extra": {"RUNSTREAM_STRICT": "true"}}


def kill_some(round: Round) -> None:
    """SIGKILL of trainers whose workers go on for a moment."""
    for _ in range(2):
        round.pause(0.5, 2.0)
        stream = round.random.choice(round.workload.streams)
        round.workload.kill(stream)
        round.workload.attempt(stream)


def undisturbed(round: Round) -> None:
    """What users do is the fault: they do all of it."""
    round.workload.wait_ended()


def terminate(round: Round) -> None:
    """SIGTERM while all threads log: what `log()` returned for is stored."""
    round.workload.endings = (-signal.SIGTERM, 128 + signal.SIGTERM)
    round.pause(1.0, 2.5)
    round.workload.signal(signal.SIGTERM)
