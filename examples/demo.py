"""`make demo`: start everything, train on digits over four ranks on two "nodes", sweep, ask what is stored, show it."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo_report import look_further, report, report_sweep
from sweep_digits import CONFIG

import runstream
from runstream_common.service.os_process import until_told_to_end
from runstream_deploy.addresses import Addresses
from runstream_deploy.stack import KEY_FILE, Stack, UpConfig

EXAMPLE = Path(__file__).resolve().with_name("digits.py")
SWEEP = Path(__file__).resolve().with_name("sweep_digits.py")
AGENTS = 3
MAIN_LR = 0.2
OTHER_LRS = (0.02, 0.05, 0.5, 1.5)
NODES, RANKS_A_NODE = 2, 2


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(".demo"), help="folder of all data (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--stay", choices=["auto", "yes", "no"], default="auto", help="stay up afterwards")
    arguments = parser.parse_args(argv)
    stay = sys.stdout.isatty() if arguments.stay == "auto" else arguments.stay == "yes"
    return asyncio.run(_demo(arguments.data, arguments.epochs, stay))


async def _demo(data: Path, epochs: int, stay: bool) -> int:
    started = time.monotonic()
    data.mkdir(parents=True, exist_ok=True)

    def say(line: str) -> None:
        print(f"[{time.monotonic() - started:5.1f} s] {line}", flush=True)

    say("starting ClickHouse (embedded), gateway, writer and query service")
    addresses = Addresses.any_free("127.0.0.1")
    stack = Stack(UpConfig(data, addresses, "main", "demo"), lambda line: say(f"  {line}"))
    told = asyncio.ensure_future(until_told_to_end())
    try:
        await stack.start()
        key = (data / KEY_FILE).read_text(encoding="ascii").strip()
        say(f"watch it: {await stack.login_link()}")
        environment = _environment(data, addresses, key)
        os.environ.update({name: value for name, value in environment.items() if name.startswith("RUNSTREAM_")})
        project = f"digits-{time.strftime('%H%M%S')}"
        say(f"training digits: {NODES} nodes x {RANKS_A_NODE} ranks, one run, learning rate {MAIN_LR:g}")
        spool = data.absolute() / "spool"
        await _train(Job(project, MAIN_LR, epochs, NODES, RANKS_A_NODE, spool), environment, told)
        for learning_rate in OTHER_LRS:
            say(f"training digits: 1 rank, learning rate {learning_rate:g}")
            await _train(Job(project, learning_rate, epochs, 1, 1, spool), environment, told)
        say(f"a sweep: 24 trials, random and hyperband, {AGENTS} agents")
        environment["RUNSTREAM_DIR"] = str(spool / "sweep")
        sweep = await asyncio.to_thread(runstream.sweep, CONFIG, project=f"{project}-sweep")
        agents = [[sys.executable, str(SWEEP), sweep] for _ in range(AGENTS)]
        began = time.monotonic()
        await _run(agents, [environment] * AGENTS, told)
        took_s = time.monotonic() - began
        say("asking the query service")
        complete = await asyncio.to_thread(report, project, addresses)
        complete &= await asyncio.to_thread(report_sweep, sweep, took_s)
        look_further(data, project, sweep, addresses)
        if stay:
            print("Ctrl-C ends the demo.", flush=True)
            await told
        return 0 if complete else 1
    except (InterruptedError, RuntimeError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    finally:
        told.cancel()
        await stack.stop()


def _environment(data: Path, addresses: Addresses, key: str) -> dict[str, str]:
    return {
        **os.environ,
        "RUNSTREAM_BASE_URL": f"http://{addresses.http}",
        "RUNSTREAM_GATEWAY": addresses.gateway,
        "RUNSTREAM_QUERY_GRPC": addresses.grpc,
        "RUNSTREAM_API_KEY": key,
        "RUNSTREAM_SILENT": "true",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


@dataclass(frozen=True, slots=True)
class Job:
    """One training job: `nodes` x `ranks` processes."""

    project: str
    learning_rate: float
    epochs: int
    nodes: int
    ranks: int
    spool: Path

    def environment(self, rank: int, port: int) -> dict[str, str]:
        """Return the variables that torchrun would set.

        Each node has a spool of its own, and therefore a sender of its own.
        """
        node, local = divmod(rank, self.ranks)
        return {
            "RANK": str(rank),
            "WORLD_SIZE": str(self.nodes * self.ranks),
            "LOCAL_RANK": str(local),
            "LOCAL_WORLD_SIZE": str(self.ranks),
            "GROUP_RANK": str(node),
            "TORCHELASTIC_RUN_ID": f"{self.project}-{self.learning_rate:g}",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "RUNSTREAM_DIR": str(self.spool / f"node-{node}"),
        }


async def _train(job: Job, environment: dict[str, str], told: asyncio.Future[Any]) -> None:
    """Run a job's processes to their end. Raise the errors of `_run`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["--lr", str(job.learning_rate), "--epochs", str(job.epochs), "--project", job.project]
    ranks = range(job.nodes * job.ranks)
    environments = [{**environment, **job.environment(rank, port)} for rank in ranks]
    await _run([[sys.executable, str(EXAMPLE), *arguments] for _ in ranks], environments, told)


async def _run(commands: list[list[str]], environments: list[dict[str, str]], told: asyncio.Future[Any]) -> None:
    """Run processes side by side, to their end.

    Raise RuntimeError when one fails, InterruptedError on Ctrl-C.
    """
    processes = [
        await asyncio.create_subprocess_exec(*command, env=environment, stderr=subprocess.PIPE)
        for command, environment in zip(commands, environments, strict=True)
    ]
    work = asyncio.gather(*(process.communicate() for process in processes))
    await asyncio.wait([work, told], return_when=asyncio.FIRST_COMPLETED)
    if told.done():
        for process in processes:
            if process.returncode is None:
                process.terminate()
        await work
        raise InterruptedError("interrupted")
    for rank, (process, (_, errors)) in enumerate(zip(processes, await work, strict=True)):
        if process.returncode:
            raise RuntimeError(f"process {rank} failed:\n{errors.decode('utf-8', 'replace')[-2000:]}")


if __name__ == "__main__":
    sys.exit(main())
