"""Random bytes against every listening port of a real stack, with a good key and without one.

Inputs are mutations of good requests. What must hold: every request is answered or its connection closed, no process
ends, memory stays within its bound, no traceback is logged, and afterwards every port answers a good request and takes
a run completely.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import psutil

from runstream_proto.v1 import ingest_pb2 as pb
from tests.fuzz.targets import METHODS, _batch, seeds
from tests.support.clickhouse import PASSWORD
from tests.support.stack import ServiceStack, clean_environment

_ANSWER_S = 20.0
_BOUND_MB = 300.0
_AT_ONCE = 8
_STREAM = "/runstream.v1.IngestService/Stream"
_H2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")


def mutate(data: bytes, generator: random.Random) -> bytes:
    """A few flips, cuts, repeats and insertions."""
    found = bytearray(data)
    for _ in range(generator.choice((0, 1, 1, 2, 4, 12))):
        where = generator.randrange(len(found) + 1)
        match generator.randrange(6):
            case 0 if found:
                found[where % len(found)] ^= 1 << generator.randrange(8)
            case 1:
                found[where:where] = generator.randbytes(generator.choice((1, 4, 40)))
            case 2:
                del found[where : where + generator.choice((1, 3, 30))]
            case 3:
                found[where:where] = found[where : where + generator.choice((1, 8, 60))] * generator.choice((1, 2, 50))
            case 4:
                found[where:where] = generator.choice(
                    (b"\0", b"\xff" * 8, b"9" * 30, b"\r\n", b"%00", b"{[", b"'", b"-1")
                )
            case _:
                found[where : where + 1] = bytes([generator.choice((0, 1, 127, 128, 255))])
    return bytes(found)


class Ports:
    """One stack; each target takes a generator and sends one input."""

    def __init__(self, stack: ServiceStack) -> None:
        self.stack = stack
        self._channels = {
            name: grpc.aio.insecure_channel(stack.address(name), options=[("grpc.use_local_subchannel_pool", 1)])
            for name in ("gateway", "grpc")
        }
        self.targets: dict[str, Callable[[random.Random], Awaitable[None]]] = {
            "gateway: bytes": lambda generator: self._raw("gateway", mutate(_H2, generator)),
            "gateway: messages": self._ingest,
            "query gRPC: bytes": lambda generator: self._raw("grpc", mutate(_H2, generator)),
            "query gRPC: messages": self._question,
            "query HTTP": self._http,
            "operations HTTP": self._ops,
            "clickhouse HTTP": self._clickhouse,
        }

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()

    def _key(self, generator: random.Random) -> str:
        return self.stack.key if generator.random() < 0.9 else generator.randbytes(12).hex()

    async def _raw(self, port: str, data: bytes) -> None:
        await self._send("127.0.0.1", self.stack.ports[port], data)

    async def _send(self, host: str, port: int, data: bytes) -> None:
        """Raises TimeoutError when the server neither answers nor closes."""
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_connection(host, port)
            with contextlib.suppress(OSError):
                writer.write(data)
                await writer.drain()
                writer.write_eof()
                while await reader.read(1 << 16):
                    pass
            writer.close()

    async def _ingest(self, generator: random.Random) -> None:
        """A stream: hello, then some messages, each maybe damaged."""
        hello = pb.Hello(
            run=pb.RunPath(team="main", project="fuzzed", run=f"run-{generator.randrange(20)}"),
            writer_id=f"writer-{generator.randrange(10_000):05d}",
            world_size=1,
        )
        messages = [pb.IngestRequest(hello=hello).SerializeToString()]
        for number in range(1, generator.randrange(2, 6)):
            data = mutate(_batch().SerializeToString(), generator)
            sealed = pb.SealedBatch(number=number, batch=data, crc32=zlib.crc32(data))
            messages.append(pb.IngestRequest(batch=sealed).SerializeToString())
        sent = [mutate(one, generator) if generator.random() < 0.4 else one for one in messages]
        call = self._channels["gateway"].stream_stream(_STREAM)(
            iter_of(sent), metadata=(("authorization", f"Bearer {self._key(generator)}"),), timeout=_ANSWER_S
        )
        await answered(call, stream=True)

    async def _question(self, generator: random.Random) -> None:
        method = generator.choice(METHODS)
        if method.name.startswith(("Delete", "Set")) or method.server_streaming:
            return
        data = generator.choice((b"\x0a\x04main\x12\x06fuzzed\x1a\x05run-1", generator.randbytes(30)))
        call = self._channels["grpc"].unary_unary(f"/{method.containing_service.full_name}/{method.name}")(
            mutate(data, generator),
            metadata=(("authorization", f"Bearer {self._key(generator)}"),),
            timeout=_ANSWER_S,
        )
        await answered(call, stream=False)

    async def _http(self, generator: random.Random) -> None:
        body = generator.choice(seeds("http_question"))[1:]
        if generator.random() < 0.5:
            body = mutate(body, generator)
        asking = [one for one in METHODS if not one.name.startswith(("Delete", "Set")) and not one.server_streaming]
        name = generator.choice(asking).name
        paths = (f"/api/v1/{name}", f"/api/v1/media/main/fuzzed/{'a' * 64}", f"/api/v1/{name}?team=main&project=fuzzed")
        await self._raw("http", self._request(generator, paths, body, f"Authorization: Bearer {self._key(generator)}"))

    async def _ops(self, generator: random.Random) -> None:
        port = generator.choice(("gateway_ops", "query_ops"))
        await self._raw(port, self._request(generator, ("/metrics", "/healthz"), b"", "X-Y: z"))

    async def _clickhouse(self, generator: random.Random) -> None:
        """Read-only questions and inserts, in all the forms clients use."""
        body = generator.choice(
            (
                b"SELECT run, count() FROM points GROUP BY run FORMAT JSON",
                b"SELECT {a:String}, [1, 2], 'x' FORMAT Native",
                b"INSERT INTO rejects FORMAT JSONEachRow\n" + b'{"project": "main/p", "run": "r", "detail": "d"}' * 3,
                b"INSERT INTO rejects (project, run) FORMAT Native\n\x02\x01\x07project\x06String\x01a",
                b"INSERT INTO rejects (project) FORMAT ArrowStream\n\xff\xff\xff\xff\x10\0\0\0" + bytes(40),
                b"INSERT INTO rejects (project) FORMAT RowBinary\n\x01a\x01b",
            )
        )
        paths = ("/", "/?param_a=1&query_id=x", "/?default_format=JSON&database=default", "/ping", "/replicas_status")
        login = f"X-ClickHouse-User: default\r\nX-ClickHouse-Key: {PASSWORD}"
        # mutations of words may make other statements: none of these can become one that removes what is there
        request = self._request(generator, paths, mutate(body, generator), login, damage=0.3)
        await self._send("127.0.0.1", self.stack.clickhouse.port, request)

    def _request(
        self, generator: random.Random, paths: tuple[str, ...], body: bytes, header: str, damage: float = 0.5
    ) -> bytes:
        method = generator.choice(("GET", "POST", "POST", "PUT", "HEAD", "OPTIONS"))
        length = len(body) if generator.random() < 0.9 else generator.choice((0, 3, 10**9, -1, 10**30))
        head = (
            f"{method} {generator.choice(paths)} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n"
            f"Connection: close\r\nContent-Length: {length}\r\n\r\n"
        ).encode()
        return (mutate(head, generator) if generator.random() < damage else head) + body


async def iter_of(messages: list[bytes]) -> Any:
    for message in messages:
        yield message


async def answered(call: Any, *, stream: bool) -> None:
    """Raises TimeoutError when no answer came in time."""
    try:
        if stream:
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
            raise TimeoutError from error
        assert error.code() != grpc.StatusCode.UNKNOWN, f"an exception went through: {error.details()}"


async def throw(ports: Ports, inputs: int, seed: int, hung: list[str]) -> dict[str, int]:
    """`inputs` for all targets in turn; returns how many each was sent."""
    sent = dict.fromkeys(ports.targets, 0)
    turns = iter(range(inputs))

    async def work() -> None:
        for turn in turns:
            name = list(ports.targets)[turn % len(ports.targets)]
            try:
                await ports.targets[name](random.Random(f"{seed}/{turn}"))
            except TimeoutError:
                hung.append(f"{name}: input {turn} of seed {seed} was not answered within {_ANSWER_S:g} s")
            except ConnectionError as error:
                hung.append(f"{name}: input {turn} of seed {seed}: {error}")
            sent[name] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(work())
    return sent


def fuzz_ports(inputs: int, seed: int) -> dict[str, Any]:
    """What was sent and what was found, in the form of `tests.fuzz.__main__.fuzz`."""
    started = time.monotonic()
    found: list[str] = []
    with tempfile.TemporaryDirectory(prefix="fuzz-ports-") as folder:
        stack = ServiceStack(Path(folder)).start()
        try:
            services = {**stack.services, "clickhouse": stack.clickhouse.service}
            processes = {name: psutil.Process(service.pid) for name, service in services.items()}
            memory = {name: process.memory_info().rss for name, process in processes.items()}

            async def all_of_it() -> dict[str, int]:
                ports = Ports(stack)
                try:
                    return await throw(ports, inputs, seed, found)
                finally:
                    await ports.close()

            sent = asyncio.run(all_of_it())
            grown = {}
            for name, process in processes.items():
                if not services[name].running():
                    found.append(f"{name} ended")
                    continue
                grown[name] = round((process.memory_info().rss - memory[name]) / 2**20, 1)
                if grown[name] > _BOUND_MB:
                    found.append(f"{name} grew by {grown[name]} MB")
            if not found:
                found += still_good(stack, Path(folder) / "spool")
            for log in Path(folder).glob("*.log"):
                if traces := re.findall(r"Traceback[\s\S]{0,1500}", log.read_text("utf-8", "replace")):
                    found.append(f"{log.name} has {len(traces)} tracebacks, the first:\n{traces[0]}")
        finally:
            stack.stop()
    return {
        "target": "ports",
        "inputs": sum(sent.values()),
        "sent": sent,
        "grown_mb": grown,
        "seconds": round(time.monotonic() - started, 1),
        "ok": not found,
        **({"found": "\n".join(found)} if found else {}),
    }


def still_good(stack: ServiceStack, spool: Path) -> list[str]:
    """A run through every port."""
    process = subprocess.run(
        [sys.executable, "-c", _GOOD_RUN],
        env={**clean_environment(), **stack.sdk_environment(spool)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return [] if process.stdout.strip() == "complete" else [f"a good run afterwards: {process.stdout}{process.stderr}"]


_GOOD_RUN = """
import runstream, time
with runstream.init(project="after", id="good") as run:
    for step in range(100):
        run.log({"loss": float(step)}, step=step)
for _ in range(50):
    verdict = runstream.Api().run("after/good").completeness["verdict"]
    if verdict == "complete":
        break
    time.sleep(0.1)
print(verdict)
"""
