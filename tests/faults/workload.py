"""Many streams at once, each a training process of its own on one of two nodes, and the oracle of what they logged."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from runstream.spool.folder import SpoolFolder
from runstream.spool.state import StateFile
from tests.faults.truth import ENOUGH, Order
from tests.support.counters import counters, new_counters, read_counters
from tests.support.disks import small_disk, unmount
from tests.support.processes import tail, wait_for
from tests.support.stack import clean_environment

ROOT = Path(__file__).resolve().parents[2]


@dataclass(slots=True)
class Attempt:
    order: Order
    process: subprocess.Popen[bytes]
    log: Path

    def counts(self, thread: int = 0) -> tuple[int, int]:
        """Records that a thread handed to `log()`, and that returned from it."""
        submitted, returned = read_counters(Path(self.order.oracle))[2 * thread : 2 * thread + 2]
        return submitted, returned

    def worker_counts(self, worker: int) -> tuple[int, int]:
        """As `counts`, of a worker process."""
        oracle = Path(self.order.oracle)
        submitted, returned = read_counters(oracle.with_name(f"{oracle.name}.worker-{worker}"))
        return submitted, returned

    @property
    def writer_id(self) -> str:
        """Empty when it died before it had one: it has logged nothing then."""
        path = Path(self.order.oracle).with_suffix(".writer")
        return path.read_text() if path.exists() else ""


@dataclass(slots=True)
class Stream:
    run: str
    rank: int
    node: int
    attempts: list[Attempt] = field(default_factory=list)


class Workload:
    """`nodes`: an environment for the SDK of each node; its spool is a folder of its own."""

    def __init__(
        self,
        folder: Path,
        nodes: list[dict[str, str]],
        project: str,
        prefix: str,
        seed: int,
        *,
        seconds: float = 8.0,
        rows_per_s: float = 150.0,
        metrics: int = 6,
        runs: int = 2,
        world: int = 2,
        finish_s: float = 3.0,
        extra: Mapping[str, str] | None = None,
        small_spool: Path | None = None,
        threads: int = 1,
        forks: bool = False,
        habit: str = "",
        workers: int = 0,
    ) -> None:
        """`small_spool`: this node's spool folder is on a disk of its own, of 24 MB."""
        folder.mkdir(parents=True)
        new_counters(folder / ENOUGH, 1)
        self._disk = small_disk(small_spool, 24) if small_spool else None
        self.folder = folder
        self.endings: tuple[int, ...] = ()
        """Further exit codes that are as they should be."""
        self.project = project
        self.seed = seed
        self.random = random.Random(seed)
        self._rows = int(seconds * rows_per_s)
        self._rows_per_s = rows_per_s
        self._metrics = metrics
        self._threads = threads
        self._forks = forks
        self._habit = habit
        self._workers = workers
        self._world = world
        self._finish_s = finish_s
        self._environments = []
        for number, node in enumerate(nodes):
            spool = {"RUNSTREAM_DIR": str(folder / f"node-{number}")}
            self._environments.append(
                {**clean_environment(), "PYTHONPATH": str(ROOT), **node, **spool, **(extra or {})}
            )
        self.streams = [
            Stream(f"{prefix}-{run}", rank, rank % len(nodes)) for run in range(runs) for rank in range(world)
        ]

    @property
    def runs(self) -> list[str]:
        return list(dict.fromkeys(stream.run for stream in self.streams))

    @property
    def spools(self) -> list[Path]:
        return [Path(environment["RUNSTREAM_DIR"]) for environment in self._environments]

    def environment(self, node: int) -> dict[str, str]:
        """Of a further process of this node."""
        return dict(self._environments[node])

    def set_environment(self, **variables: str) -> None:
        """Of all processes that are started from now on."""
        for environment in self._environments:
            environment.update(variables)

    def alive(self, run: str) -> bool:
        """Whether every process of the run's last attempts lives."""
        return all(one.attempts[-1].process.poll() is None for one in self.streams if one.run == run)

    def start(self) -> Workload:
        for stream in self.streams:
            self.attempt(stream)
        return self

    def attempt(self, stream: Stream, rows: int = 0) -> None:
        """Start the stream's next attempt; it begins a little before the one before ended."""
        first = 0
        if stream.attempts:
            before = stream.attempts[-1]
            first = max(before.order.first_step + before.counts()[0] - self.random.randrange(5, 100), 0)
        number = len(stream.attempts) + 1
        name = f"{stream.run}-{stream.rank}-{number}"
        oracle = self.folder / f"{name}.oracle"
        new_counters(oracle, 2 * self._threads)
        for worker in range(self._workers):
            new_counters(oracle.with_name(f"{oracle.name}.worker-{worker}"), 2)
        order = Order(
            self.project,
            stream.run,
            stream.rank,
            self._world,
            number,
            first,
            rows or self._rows,
            self._rows_per_s,
            self._metrics,
            self.seed,
            self._finish_s,
            str(oracle),
            self._threads,
            self._forks,
            self._habit,
            self._workers,
        )
        log = self.folder / f"{name}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.trainer", json.dumps(asdict(order))],
                stdout=file,
                stderr=file,
                env=self._environments[stream.node],
                cwd=ROOT,
                start_new_session=True,
            )
        stream.attempts.append(Attempt(order, process, log))

    def wait_logging(self, records: int = 20, timeout_s: float = 60.0) -> None:
        """Until every stream has logged a little."""
        deadline = time.monotonic() + timeout_s
        while any(stream.attempts[-1].counts()[1] < records for stream in self.streams):
            if time.monotonic() > deadline:
                raise AssertionError(f"a trainer does not log:\n{tail(self.streams[0].attempts[-1].log)}")
            time.sleep(0.05)

    def enough(self) -> None:
        """Tell the trainers that they need not log all their rows. They end as programs do whose work is done."""
        with counters(self.folder / ENOUGH) as told:
            told[0] = 1

    def kill(self, stream: Stream) -> None:
        process = stream.attempts[-1].process
        process.kill()
        process.wait()

    def signal(self, number: signal.Signals) -> None:
        for stream in self.streams:
            if stream.attempts[-1].process.poll() is None:
                stream.attempts[-1].process.send_signal(number)

    def senders(self) -> list[psutil.Process]:
        """The processes that send for these nodes."""
        folders = {str(spool) for spool in self.spools}
        found = []
        for process in psutil.process_iter(["cmdline"]):
            command = process.info["cmdline"] or []
            if "runstream.sender" in command and folders & set(command):
                found.append(process)
        return found

    def wait_sending(self) -> None:
        """Until the server has more of what each node logs than it had: until then there is no sender whose death
        could cost anything."""
        before = {spool: self._acked(spool) for spool in self.spools}

        def moved() -> bool:
            return all(
                any(acked > had.get(name, 0) for name, acked in self._acked(spool).items())
                for spool, had in before.items()
            )

        wait_for(moved, "an ack on each node")

    @staticmethod
    def _acked(spool: Path) -> dict[str, int]:
        """Records that the server has, by the name of the stream's folder."""
        found = {}
        for folder in SpoolFolder(spool).stream_folders():
            with contextlib.suppress(OSError, ValueError):  # it has ended meanwhile, or is only being made
                state = StateFile(folder / "state")
                found[folder.name] = state.acked_record()
                state.close()
        return found

    def wait_ended(self, timeout_s: float = 60.0) -> None:
        """Until all trainers have ended by themselves, or the time is over."""
        deadline = time.monotonic() + timeout_s
        while any(one.attempts[-1].process.poll() is None for one in self.streams) and time.monotonic() < deadline:
            time.sleep(0.05)

    def wait(self, timeout_s: float = 60.0) -> list[str]:
        """Until all trainers have ended; returns what is wrong with how they ended, were they not killed."""
        problems = []
        deadline = time.monotonic() + timeout_s
        for stream in self.streams:
            attempt = stream.attempts[-1]
            try:
                status = attempt.process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                attempt.process.kill()
                attempt.process.wait()
                problems.append(f"{attempt.log.stem} hung:\n{tail(attempt.log)}")
                continue
            if status not in (0, -signal.SIGKILL, *self.endings):
                problems.append(f"{attempt.log.stem} ended with {status}:\n{tail(attempt.log)}")
        return problems

    def sync(self, timeout_s: float = 120.0) -> list[str]:
        """`runstream sync` for each node, as an operator would; returns what is wrong."""
        problems = []
        syncs = []
        for environment in self._environments:
            command = [sys.executable, "-m", "runstream.cli", "sync", environment["RUNSTREAM_DIR"], "--timeout", "60"]
            if Path(environment["RUNSTREAM_DIR"], "streams").is_dir():
                pipe = subprocess.PIPE
                syncs.append(subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, env=environment))
        for sync in syncs:
            try:
                out, _ = sync.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                sync.kill()
                out, _ = sync.communicate()
            if sync.returncode != 0:
                problems.append(out.decode().strip().splitlines()[-1] if out else "sync hung")
        return problems

    def end(self) -> None:
        """Nothing of it stays behind."""
        for stream in self.streams:
            for attempt in stream.attempts:
                if attempt.process.poll() is None:
                    attempt.process.kill()
                    attempt.process.wait()
        for sender in self.senders():
            with contextlib.suppress(psutil.NoSuchProcess):
                os.kill(sender.pid, signal.SIGCONT)
                sender.kill()
        if self._disk:
            unmount(self._disk)
