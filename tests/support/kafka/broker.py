"""Brokers as processes: start, stop, kill, start again on the same data."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import time
import uuid
from pathlib import Path
from types import TracebackType

from tests.support.kafka.artifacts import LOGGING, class_path
from tests.support.processes import free_port, tail

_JVM = ["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
_START_S = 100.0


class Broker:
    """One node, broker and controller in one."""

    def __init__(self, folder: Path, node: int, listener: int, controller: int) -> None:
        self.folder = folder
        self.node = node
        self.listener = listener
        self.controller = controller
        self.log = folder / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, voters: str, cluster_id: str, nodes: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "process.roles": "broker,controller",
            "node.id": self.node,
            "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://127.0.0.1:{self.listener},CONTROLLER://127.0.0.1:{self.controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.listener}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": self.folder / "data",
            "offsets.topic.replication.factor": nodes,
            "transaction.state.log.replication.factor": nodes,
            "transaction.state.log.min.isr": min(nodes, 2),
            "offsets.topic.num.partitions": 4,
            "group.initial.rebalance.delay.ms": 0,
            "num.network.threads": 2,
            "num.io.threads": 4,
            "log.segment.bytes": 256 << 20,
            "auto.create.topics.enable": "false",
        }
        config = self.folder / "server.properties"
        config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        self._java("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(config), wait=True)

    def start(self) -> None:
        self._process = self._java("kafka.Kafka", str(self.folder / "server.properties"), wait=False)

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait_ready(self) -> None:
        """Raises RuntimeError with the end of the log."""
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if not self.running():
                break
            try:
                socket.create_connection(("127.0.0.1", self.listener), timeout=1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"Kafka node {self.node} did not start:\n{tail(self.log)}")

    def signal(self, number: signal.Signals) -> None:
        if self.running():
            assert self._process is not None
            self._process.send_signal(number)

    def kill(self) -> None:
        """As the kernel does when memory runs out."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _java(self, main: str, *arguments: str, wait: bool) -> subprocess.Popen[bytes]:
        command = ["java", *_JVM, f"-Dlog4j2.configurationFile={LOGGING}", "-cp", class_path(), main, *arguments]
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True)
        if wait and process.wait(_START_S):
            raise RuntimeError(f"{main} failed:\n{tail(self.log)}")
        return process


class KafkaCluster:
    """`nodes` brokers on free loopback ports. A context manager."""

    def __init__(self, folder: Path, nodes: int = 1) -> None:
        """Raises MissingPartError."""
        class_path()
        self.brokers = [Broker(folder / f"node-{n}", n, free_port(), free_port()) for n in range(1, nodes + 1)]
        # A letter in front: an argument that begins with a dash is taken for an option.
        self._cluster_id = "R" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{broker.listener}" for broker in self.brokers)

    def start(self) -> KafkaCluster:
        voters = ",".join(f"{broker.node}@127.0.0.1:{broker.controller}" for broker in self.brokers)
        for broker in self.brokers:
            broker.configure(voters, self._cluster_id, len(self.brokers))
        for broker in self.brokers:
            broker.start()
        for broker in self.brokers:
            broker.wait_ready()
        return self

    def stop(self) -> None:
        for broker in self.brokers:
            broker.kill()  # nothing of it is wanted any more

    def __enter__(self) -> KafkaCluster:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


assert os.name == "posix"
