"""The pipeline as real processes, each of which can be killed, stopped, cut off and started again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runstream.api import Api
from runstream_common.clickhouse.client import connect
from runstream_common.clickhouse.schema import migrator
from runstream_control.control_store import ControlStore
from tests.faults import breakers
from tests.faults.checker import Checker
from tests.faults.codes import FOREIGN_LAB
from tests.support.clickhouse import EmbeddedClickHouse
from tests.support.disks import small_disk, unmount
from tests.support.kafka import KafkaCluster
from tests.support.postgres import PostgresServer
from tests.support.processes import Service, free_port, tail
from tests.support.proxy import Proxy
from tests.support.s3 import BUCKET, S3Server

GATEWAYS = ("gateway-1", "gateway-2")
WRITERS = ("writer-1", "writer-2")
_MODULES = {
    "gateway": "runstream_ingestor.gateway",
    "writer": "runstream_ingestor.writer",
    "ingest": "runstream_ingestor",
    "query": "runstream_query",
}


class Lab:
    """Two gateways and two writers over Kafka (`brokers` 1 or 3), or both in one process (`brokers` 0); a query service
    and the embedded ClickHouse. The SDK reaches the gateways, and the writers ClickHouse, through proxies."""

    def __init__(self, folder: Path, brokers: int, disks: Mapping[str, Path] | None = None) -> None:
        """`disks`: where "clickhouse", "kafka", "control" and "media" write, when not in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.disks = dict(disks or {})
        self.sabotage = ""
        self.folder = folder
        self.brokers = brokers
        self.clickhouse = EmbeddedClickHouse(self.disks.get("clickhouse", folder))
        self.kafka = KafkaCluster(self.disks.get("kafka", folder), brokers) if brokers else None
        self.control_url = f"sqlite:///{self.disks.get('control', folder) / 'control.db'}"
        self.media = {"RUNSTREAM_MEDIA_URL": (self.disks.get("media", folder) / "media").absolute().as_uri()}
        self.key = ""
        self.services: dict[str, Service] = {}
        self._ops: dict[str, int] = {}
        self._listen: dict[str, int] = {}
        self._http, self._grpc = free_port(), free_port()
        self.names = [*GATEWAYS, *WRITERS, "query"] if brokers else ["ingest", "query"]
        self.gateways = GATEWAYS if brokers else ("ingest",)
        self.writers = WRITERS if brokers else ("ingest",)
        for name in self.names:
            self._ops[name], self._listen[name] = free_port(), free_port()
        self.to_gateway = {name: Proxy(f"127.0.0.1:{self._listen[name]}") for name in self.gateways}
        self.to_clickhouse = Proxy(f"127.0.0.1:{self.clickhouse.port}")
        self.checker: Checker
        self.api: Api
        self._client: Any = None

    def start(self) -> Lab:
        if self.kafka:
            self.kafka.start()
        self.clickhouse.start()
        self.key = asyncio.run(self._prepare())
        for name in self.names:
            self.launch(name)
        for name in self.names:
            self.wait_ready(name)
        self._client = self.clickhouse.client()
        self.use_key(self.key)
        return self

    def use_key(self, key: str) -> None:
        """Ask, and tell nodes to log, with this key from now on."""
        self.key = key
        self.api = Api(f"http://127.0.0.1:{self._http}", key)
        object.__setattr__(self.api._settings, "query_grpc", f"127.0.0.1:{self._grpc}")
        self.checker = Checker(self._client, self.api)
        self.checker.plain = self.sabotage.endswith(":plain_tables")

    def replace_key(self) -> str:
        """Revoke the key that is used, and return a new one."""

        async def replace() -> str:
            store = ControlStore.open(self.control_url)
            try:
                who = await store.authenticate(self.key)
                key = await store.create_api_key("tester", "main")
                await store.revoke_api_key(who.key_prefix)
                return key
            finally:
                await store.close()

        return asyncio.run(replace())

    def stop(self) -> None:
        for service in self.services.values():
            service.signal(signal.SIGCONT)
            service.kill()
        self.clickhouse.service.kill()
        if self.kafka:
            self.kafka.stop()
        for proxy in (*self.to_gateway.values(), self.to_clickhouse):
            proxy.close()

    # Services

    def launch(self, name: str, extra: Mapping[str, str] | None = None) -> Service:
        """Start a service, or start it again; does not wait."""
        kind = name.split("-")[0]
        environment = {**self._environment(name), **self._broken(), **(extra or {})}
        service = Service(_MODULES[kind], self.folder / f"{name}.log", environment)
        self.services[name] = service.start()
        return service

    def wait_ready(self, name: str, timeout_s: float = 40.0) -> None:
        self.services[name].wait_answering(f"http://127.0.0.1:{self._ops[name]}/healthz", timeout_s)

    def wait_ready_or_dead(self, name: str, timeout_s: float = 40.0) -> None:
        try:
            self.wait_ready(name, timeout_s)
        except AssertionError:
            if self.services[name].running():
                raise

    def kill(self, name: str) -> None:
        if name == "clickhouse":
            self.clickhouse.service.kill()
        else:
            self.services[name].kill()

    def signal(self, name: str, number: signal.Signals) -> None:
        if name.startswith("broker-"):
            self.broker(name).signal(number)
        else:
            (self.clickhouse.service if name == "clickhouse" else self.services[name]).signal(number)

    def revive(self, name: str, extra: Mapping[str, str] | None = None) -> None:
        """Start again what was killed, and wait until it answers."""
        if name == "clickhouse":
            self.clickhouse.service.start()
            self.clickhouse.service.wait_answering(f"{self.clickhouse.url}/ping")
        elif name.startswith("broker-"):
            self.broker(name).start()
            self.broker(name).wait_ready()
        else:
            self.launch(name, extra)
            self.wait_ready(name)

    def broker(self, name: str) -> Any:
        assert self.kafka is not None
        return self.kafka.brokers[int(name.removeprefix("broker-")) - 1]

    def heal(self) -> None:
        """Everything runs, nothing is throttled."""
        for proxy in (*self.to_gateway.values(), self.to_clickhouse):
            proxy.heal()
        if self.kafka:
            for broker in self.kafka.brokers:
                broker.signal(signal.SIGCONT)
                if not broker.running():
                    broker.start()
            for broker in self.kafka.brokers:
                broker.wait_ready()
        self.clickhouse.service.signal(signal.SIGCONT)
        if not self.clickhouse.service.running():
            self.revive("clickhouse")
        for name in self.names:
            self.services[name].signal(signal.SIGCONT)
            if not self.services[name].running():
                self.launch(name)
        for name in self.names:
            self.wait_ready(name)

    def log_of(self, name: str) -> str:
        return tail(self.folder / f"{name}.log")

    # What the SDK is told

    def node(self, gateway: str) -> dict[str, str]:
        """The environment of a node whose sender uses this gateway."""
        return {
            "RUNSTREAM_BASE_URL": f"http://127.0.0.1:{self._http}",
            "RUNSTREAM_GATEWAY": self.to_gateway[gateway].address,
            "RUNSTREAM_QUERY_GRPC": f"127.0.0.1:{self._grpc}",
            "RUNSTREAM_API_KEY": self.key,
            "RUNSTREAM_SILENT": "true",
            "RUNSTREAM_SYSTEM_METRICS": "false",
            "RUNSTREAM_CONSOLE": "auto",
            **self._broken(),
        }

    def _broken(self) -> dict[str, str]:
        """What takes a guard out of a process: see `sabotage`."""
        if not self.sabotage:
            return {}
        path = os.pathsep.join([str(Path(__file__).with_name("broken")), str(Path(__file__).parents[2])])
        return {"FAULTS_SABOTAGE": self.sabotage, "PYTHONPATH": path}

    def nodes(self) -> list[dict[str, str]]:
        return [self.node(self.gateways[index % len(self.gateways)]) for index in range(2)]

    # Rest

    def wait_settled(self, project: str, runs: list[str], timeout_s: float = 30.0) -> None:
        """Until the writers have stored what is on the bus, and the count of keys has stood still for a while."""
        deadline = time.monotonic() + timeout_s
        last, since = -1, time.monotonic()
        while time.monotonic() < deadline:
            found = self.checker.count(project, runs)
            if found != last:
                last, since = found, time.monotonic()
            if self._lag() == 0 and time.monotonic() - since > 1.5:
                return
            time.sleep(0.2)

    def _lag(self) -> float:
        """By the committed offsets: what is not confirmed yet."""
        if self.kafka is None:
            return 0
        return asyncio.run(self._uncommitted())

    async def _uncommitted(self) -> int:
        from aiokafka import AIOKafkaConsumer, TopicPartition

        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.kafka_bootstrap, group_id="runstream-writer", enable_auto_commit=False
        )
        with contextlib.suppress(Exception):
            await consumer.start()
            try:
                parts = [TopicPartition("runstream.batches.v1", number) for number in range(12)]
                ends = await consumer.end_offsets(parts)
                behind = 0
                for part in parts:
                    behind += ends[part] - (await consumer.committed(part) or 0)
                return behind
            finally:
                await consumer.stop()
        return 1

    @property
    def kafka_bootstrap(self) -> str:
        assert self.kafka is not None
        return self.kafka.bootstrap

    def _environment(self, name: str) -> dict[str, str]:
        environment = {
            **self.clickhouse.environment,
            "RUNSTREAM_CLICKHOUSE_TIMEOUT_S": "10",
            "RUNSTREAM_CONTROL_URL": self.control_url,
            **self.media,
            "RUNSTREAM_GATEWAY_LISTEN": f"127.0.0.1:{self._listen[name]}",
            "RUNSTREAM_GATEWAY_OPS": f"127.0.0.1:{self._ops[name]}",
            "RUNSTREAM_WRITER_OPS": f"127.0.0.1:{self._ops[name]}",
            "RUNSTREAM_QUERY_OPS": f"127.0.0.1:{self._ops[name]}",
            "RUNSTREAM_QUERY_HTTP": f"127.0.0.1:{self._http}",
            "RUNSTREAM_QUERY_GRPC": f"127.0.0.1:{self._grpc}",
            "RUNSTREAM_CRASH_AFTER_S": "60",
        }
        if name in self.writers:
            environment["RUNSTREAM_CLICKHOUSE_URL"] = f"http://{self.to_clickhouse.address}/default"
        if self.kafka:
            environment |= {
                "RUNSTREAM_KAFKA_BOOTSTRAP": self.kafka_bootstrap,
                "RUNSTREAM_KAFKA_REPLICATION": str(self.brokers),
                "RUNSTREAM_KAFKA_MIN_ISR": "2" if self.brokers > 1 else "1",
                "RUNSTREAM_KAFKA_SESSION_TIMEOUT_S": "6",
            }
        return environment

    async def _prepare(self) -> str:
        client = await connect(self.clickhouse.config)
        whole = migrator.render
        if self.sabotage.endswith(":plain_tables"):
            breakers.plain_tables(migrator)
        try:
            await migrator.migrate(client)
        finally:
            migrator.render = whole
            await client.close()
        store = ControlStore.open(self.control_url)
        await store.migrate()
        key = await store.bootstrap("main", "tester")
        await store.close()
        return str(key)


class DiskLab(Lab):
    """One broker; ClickHouse, Kafka, the media and the control database each on a small disk of their own."""

    def __init__(self, folder: Path) -> None:
        """Raises RuntimeError where disks cannot be mounted."""
        sizes = {"clickhouse": 300, "kafka": 300, "media": 24, "control": 24}
        super().__init__(folder, 1, {name: small_disk(folder / name, size) for name, size in sizes.items()})

    def stop(self) -> None:
        super().stop()
        for disk in self.disks.values():
            unmount(disk)


class ForeignLab(Lab):
    """Embedded, with what large installations have: PostgreSQL, and object storage that speaks S3, behind proxies."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 0)
        self.brokers = FOREIGN_LAB
        self.postgres = PostgresServer(folder / "postgres")
        self.s3 = S3Server()
        self.to_s3 = Proxy(f"127.0.0.1:{self.s3.port}")
        self.control_url = self.postgres.url
        self.media = {
            "RUNSTREAM_MEDIA_URL": f"s3://{BUCKET}/media",
            **self.s3.environment(f"http://{self.to_s3.address}"),
        }

    def start(self) -> Lab:
        self.postgres.start()
        self.s3.start()
        return super().start()

    def stop(self) -> None:
        super().stop()
        self.to_s3.close()
        self.s3.stop()
        self.postgres.stop()

    def heal(self) -> None:
        self.to_s3.heal()
        self.s3.signal(signal.SIGCONT)
        if not self.postgres.running():
            self.postgres.start()
        super().heal()
