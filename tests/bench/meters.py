"""CPU and memory of other processes, from the operating system."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil


class CpuMeter:
    """CPU seconds that processes use from now on, their children included."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._before = {name: self._read(process) for name, process in self._processes.items()}
        self._sender: dict[str, float] = {"cpu_s": 0.0, "rss_mb": 0.0}

    def used(self) -> dict[str, float]:
        return {name: self._read(process) - self._before[name] for name, process in self._processes.items()}

    @classmethod
    def of_sender(cls, spool: Path) -> CpuMeter:
        """Watches the sender of a spool folder from its start to its end."""
        meter = cls({})
        threading.Thread(target=meter._watch_sender, args=(str(spool),), daemon=True).start()
        return meter

    def sender(self) -> dict[str, float]:
        return self._sender

    def _watch_sender(self, spool: str) -> None:
        deadline = time.monotonic() + 600
        process: psutil.Process | None = None
        while time.monotonic() < deadline:
            if process is None:
                process = next((p for p in psutil.process_iter(["cmdline"]) if self._is_sender(p, spool)), None)
                time.sleep(0.05)
                continue
            try:
                self._sender["cpu_s"] = self._read(process)
                self._sender["rss_mb"] = max(self._sender["rss_mb"], process.memory_info().rss / 2**20)
            except psutil.Error:
                return
            time.sleep(0.1)

    @staticmethod
    def _is_sender(process: psutil.Process, spool: str) -> bool:
        command = process.info["cmdline"] or []
        return "runstream.sender" in command and spool in command

    @staticmethod
    def _read(process: psutil.Process) -> float:
        times = process.cpu_times()
        return float(times.user + times.system)


class MemoryMeter:
    """Resident memory of one process over time."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._stop = threading.Event()
        self._samples: list[float] = []

    def watch(self, every_s: float) -> None:
        while not self._stop.is_set():
            self._samples.append(self._process.memory_info().rss / 2**20)
            self._stop.wait(every_s)

    def stop(self) -> None:
        self._stop.set()

    def report(self) -> dict[str, Any]:
        """First and last tenth, in MB: equal where nothing grows (the first samples, of warming up, are left out)."""
        samples = self._samples[len(self._samples) // 10 :] or self._samples
        tenth = max(len(samples) // 10, 1)
        return {
            "writer_rss_mb_first": round(sum(samples[:tenth]) / tenth, 1),
            "writer_rss_mb_last": round(sum(samples[-tenth:]) / tenth, 1),
            "writer_rss_mb_max": round(max(self._samples), 1),
            "samples": len(self._samples),
        }
