"""`python -m tests.e2e.past.make FILE.tar.xz`: keep what this version leaves behind, as a file for tests of later ones.

It holds `data`, the folder of a `runstream up` that was stopped in order, and `spool`, in which two runs wait: one that
ended, and one whose process was killed. Run it before a change that must take earlier data along, with the code before
the change, and commit the file beside this module.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil

STEPS = 300
PROJECT = "past"
_TRAIN = """
import math, os, signal, sys, runstream
name = sys.argv[1]
run = runstream.init(project="past", id=name, name=f"the run {name}", tags=["old"], notes="kept", config={"lr": 0.1})
for step in range(300):
    run.log({"loss": 1 / (step + 1), "odd": math.nan if step % 7 == 0 else step})
if name == "online":
    run.log({"table": runstream.Table(columns=["x", "y"], data=[[1, "a"], [2, "b"]]), "text": "words"})
    run.log({"weights": runstream.Histogram([1.0, 2.0, 3.0]), "picture": runstream.Image([[0.0, 1.0], [1.0, 0.0]])})
    run.alert("an alert", "its text")
run.summary["best"] = 0.5
if name == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(0 if run.finish(timeout=60) else 3)
"""


_SWEEP = {
    "name": "an old sweep",
    "method": "grid",
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {"x": {"values": [1, 2]}},
}


def main(target: str) -> None:
    with tempfile.TemporaryDirectory(prefix="past-") as name:
        folder = Path(name)
        data, spool = folder / "data", folder / "spool"
        command = [sys.executable, "-m", "runstream.cli", "up", "--data", str(data), "--ports", ",".join(_ports())]
        with (folder / "up.log").open("w") as log:
            up = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "PYTHONUNBUFFERED": "1"})
        try:
            while "runstream is up" not in (folder / "up.log").read_text():
                assert up.poll() is None, (folder / "up.log").read_text()
                time.sleep(0.2)
            addresses = json.loads((data / "up.json").read_text())
            key = (data / "api-key").read_text().strip()
            environment = {
                **os.environ,
                "RUNSTREAM_BASE_URL": f"http://{addresses['http']}",
                "RUNSTREAM_GATEWAY": addresses["gateway"],
                "RUNSTREAM_QUERY_GRPC": addresses["grpc"],
                "RUNSTREAM_API_KEY": key,
                "RUNSTREAM_DIR": str(folder / "spool-online"),
                "RUNSTREAM_SYSTEM_METRICS": "false",
            }
            subprocess.run([sys.executable, "-c", _TRAIN, "online"], env=environment, check=True)
            ask = _asking(addresses["http"], key)
            ask("CreateSweep", {"project": PROJECT, "definition_json": json.dumps(_SWEEP)})
            ask("UpdateRuns", {"project": PROJECT, "runs": ["online"], "add_tags": ["by hand"], "name": "renamed"})
        finally:
            up.send_signal(signal.SIGINT)
            up.wait(60)
        offline = {**os.environ, "RUNSTREAM_MODE": "offline", "RUNSTREAM_DIR": str(spool)}
        for run in ("offline", "killed"):
            subprocess.run([sys.executable, "-c", _TRAIN, run], env=offline, check=False)
        _end_senders(folder)
        with tarfile.open(target, "w:xz") as archive:
            archive.add(data, "data")
            archive.add(spool, "spool")


def _asking(address: str, key: str) -> Any:
    def ask(method: str, body: dict[str, Any]) -> Any:
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        request = urllib.request.Request(f"http://{address}/api/v1/{method}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    return ask


def _end_senders(folder: Path) -> None:
    senders = [one for one in psutil.process_iter() if any(str(folder) in word for word in _command(one))]
    for sender in senders:
        sender.terminate()
    psutil.wait_procs(senders, timeout=30)


def _command(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


def _ports() -> list[str]:
    """Return seven free ports, which `--ports` takes."""
    found = [socket.socket() for _ in range(7)]
    for each in found:
        each.bind(("127.0.0.1", 0))
    ports = [str(each.getsockname()[1]) for each in found]
    for each in found:
        each.close()
    return ports


if __name__ == "__main__":
    main(sys.argv[1])
