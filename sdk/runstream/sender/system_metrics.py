"""System metrics of the node and of each training process, sampled by the node's sender."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from runstream.errors import SpoolError
from runstream.sender import cgroup
from runstream.sender.companion import Companions
from runstream.sender.gpus import Gpus
from runstream.spool.folder import SpoolFolder, StreamMeta, is_alive, read_meta

if TYPE_CHECKING:
    import psutil

LOG = logging.getLogger("runstream.sender")
FIRST_AFTER_S = 2.0
"""How long after its start a process is sampled first: short runs are sampled, scripts that end at once are not."""


class SystemSampler:
    """Samples every live training process that asked for it.

    The node's own metrics go to the process of the lowest rank of each run. Steps are seconds since 1970, so that a
    resumed run goes on where it was.
    """

    def __init__(self, spool: SpoolFolder, companions: Companions) -> None:
        self._spool = spool
        self._companions = companions
        self._watched: dict[str, _Watched] = {}
        self._node: NodeSampler | None = None

    def turn(self) -> set[str]:
        """Take the samples that are due. Return the writer ids of the live processes that are sampled."""
        self._find()
        now = time.monotonic()
        due = [watched for watched in self._watched.values() if now >= watched.due]
        if due:
            self._sample(due, now)
        return {writer_id for writer_id, watched in self._watched.items() if watched.sampled}

    def _find(self) -> None:
        for folder in self._spool.stream_folders():
            if folder.name not in self._watched:
                with contextlib.suppress(SpoolError, OSError):
                    meta = read_meta(folder)
                    if meta.system_interval_s > 0 and meta.host == socket.gethostname() and is_alive(folder):
                        self._watched[folder.name] = _Watched(folder, meta)
        for name, watched in list(self._watched.items()):
            if not is_alive(watched.folder):
                del self._watched[name]

    def _sample(self, due: list[_Watched], now: float) -> None:
        node = self._node = self._node or NodeSampler()
        leaders: dict[tuple[str, str], _Watched] = {}
        for watched in sorted(self._watched.values(), key=lambda one: one.meta.rank):
            leaders.setdefault((watched.meta.project, watched.meta.run), watched)
        step = int(time.time())
        for watched in due:
            watched.due = now + watched.meta.system_interval_s
            values = watched.process.sample()
            values |= node.gpus.memory_of(watched.meta.pid)
            if watched in leaders.values():
                values |= node.sample()
            try:
                self._companions.of(watched.meta).row(values, step)
                watched.sampled = True
            except SpoolError as error:
                LOG.warning("system metrics of %s: %s", watched.meta.run, error)


class _Watched:
    def __init__(self, folder: Path, meta: StreamMeta) -> None:
        self.folder = folder
        self.meta = meta
        self.due = time.monotonic() + min(FIRST_AFTER_S, meta.system_interval_s)
        self.process = ProcessSampler(meta.pid, meta.created_us / 1e6)
        self.sampled = False


class ProcessSampler:
    """Samples one process and its children (data loaders' workers)."""

    def __init__(self, pid: int, seen_alive_at: float) -> None:
        """Find the process.

        `seen_alive_at`: seconds since 1970; a younger process is another one with the same number.
        """
        import psutil

        self._psutil = psutil
        self._process: psutil.Process | None = None
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            if process.create_time() <= seen_alive_at + 1:
                self._process = process
                process.cpu_percent()

    def sample(self) -> dict[str, float]:
        if self._process is None:
            return {}
        found: dict[str, float] = {}
        with contextlib.suppress(self._psutil.Error):
            with self._process.oneshot():
                found["system/process.cpu_percent"] = self._process.cpu_percent()
                found["system/process.memory_rss_bytes"] = float(self._process.memory_info().rss)
                found["system/process.threads"] = float(self._process.num_threads())
            children = self._process.children(recursive=True)
            found["system/process.children"] = float(len(children))
            rss = 0
            for child in children:
                with contextlib.suppress(self._psutil.Error):
                    rss += child.memory_info().rss
            found["system/process.children_memory_rss_bytes"] = float(rss)
        return found


class NodeSampler:
    """Samples the node: CPU, memory, disks, network, GPUs; in a container, compared with the container's limits."""

    def __init__(self, gpus: Gpus | None = None) -> None:
        import psutil

        self._psutil = psutil
        self.gpus = gpus or Gpus()
        self._last: dict[str, tuple[float, float]] = {}
        psutil.cpu_percent()
        self._rates()

    def sample(self) -> dict[str, float]:
        """Return the values by name, with the unit in the name. Rates are means since the last sample."""
        p = self._psutil
        found: dict[str, float] = {"system/cpu_percent": p.cpu_percent()}
        limit = cgroup.cpu_limit()
        found["system/cpu_limit"] = limit if limit is not None else float(p.cpu_count() or 1)
        with contextlib.suppress(OSError):
            found["system/load_1m"] = os.getloadavg()[0]
        memory = p.virtual_memory()
        total = cgroup.memory_limit_bytes() or memory.total
        used = cgroup.memory_used_bytes() if total < memory.total else None
        used = memory.total - memory.available if used is None else used
        found["system/memory_used_bytes"] = float(used)
        found["system/memory_percent"] = 100.0 * used / total
        with contextlib.suppress(OSError):
            found["system/disk_used_percent"] = p.disk_usage("/").percent
        found |= self._rates()
        found |= self.gpus.sample()
        return found

    def _rates(self) -> dict[str, float]:
        p = self._psutil
        totals: dict[str, float] = {}
        with contextlib.suppress(Exception):  # not every container has these counters
            disks = p.disk_io_counters()
            totals["system/disk_read_bytes_per_s"] = disks.read_bytes
            totals["system/disk_written_bytes_per_s"] = disks.write_bytes
        with contextlib.suppress(Exception):
            network = p.net_io_counters()
            totals["system/network_received_bytes_per_s"] = network.bytes_recv
            totals["system/network_sent_bytes_per_s"] = network.bytes_sent
        now = time.monotonic()
        found = {}
        for name, total in totals.items():
            before, then = self._last.get(name, (total, now))
            if now > then:
                found[name] = max(total - before, 0.0) / (now - then)
            self._last[name] = total, now
        return found
