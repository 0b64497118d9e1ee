"""`runstream up` as a lab: one process that starts and ends all the others."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import clickhouse_connect
import psutil

from runstream_deploy.addresses import Addresses
from tests.faults.codes import UP_LAB
from tests.faults.lab import Lab
from tests.support.processes import Service, free_port, tail, wait_for
from tests.support.proxy import Proxy
from tests.support.stack import clean_environment

GONE_WITHIN_S = 10.0


class UpLab(Lab):
    """Its only part is called "up"."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 0)
        self.brokers = UP_LAB
        self.names, self.gateways, self.writers = ["up"], ("up",), ("up",)
        self.data = folder / "data"
        self.control_url = f"sqlite:///{self.data / 'control.db'}"
        self._ports = [str(free_port()) for _ in range(7)]
        self.to_gateway = {"up": Proxy(f"127.0.0.1:{self._ports[0]}")}
        self._http, self._grpc = int(self._ports[1]), int(self._ports[2])

    def start(self) -> Lab:
        self.launch("up")
        self.wait_ready("up", 90.0)
        self.key = (self.data / "api-key").read_text().strip()
        password = (self.data / "clickhouse-password").read_text().strip()
        self._client = clickhouse_connect.get_client(host="127.0.0.1", port=int(self._ports[3]), password=password)
        self.use_key(self.key)
        return self

    def stop(self) -> None:
        for service in self.services.values():
            service.kill()
        for proxy in (*self.to_gateway.values(), self.to_clickhouse):
            proxy.close()

    def launch(self, name: str, extra: Mapping[str, str] | None = None) -> Service:
        environment = {
            **clean_environment(),
            "PYTHONUNBUFFERED": "1",
            "RUNSTREAM_CRASH_AFTER_S": "60",
            **self._broken(),
            **(extra or {}),
        }
        log = self.folder / "up.log"
        log.unlink(missing_ok=True)
        arguments = ["up", "--data", str(self.data), "--user", "tester", "--ports", ",".join(self._ports)]
        self.services[name] = Service("runstream.cli", log, environment, *arguments).start()
        return self.services[name]

    def wait_ready(self, name: str, timeout_s: float = 60.0) -> None:
        log = self.folder / "up.log"

        def is_up() -> bool:
            assert self.services[name].running(), f"runstream up ended:\n{tail(log)}"
            return "runstream is up" in log.read_text()

        wait_for(is_up, "runstream up", timeout_s)

    def heal(self) -> None:
        for proxy in self.to_gateway.values():
            proxy.heal()
        self.services["up"].signal(signal.SIGCONT)
        if not self.services["up"].running():
            self.launch("up")
        self.wait_ready("up")

    def left_behind(self) -> list[str]:
        """What still runs for this folder when `up` has been killed, 10 s later at most."""
        deadline = time.monotonic() + GONE_WITHIN_S
        while (left := self._processes()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def addresses(self) -> Addresses | None:
        return Addresses.load(self.data)

    def _processes(self) -> list[str]:
        """By their command line or environment: a child of `up` that was given to init is among them."""
        found = []
        for process in psutil.process_iter():
            try:
                words = [*process.cmdline(), *process.environ().values()]
                if process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                    found += [f"{process.pid} {' '.join(words[:4])}"] * any(str(self.data) in word for word in words)
            except (psutil.Error, OSError):
                continue
        return found
