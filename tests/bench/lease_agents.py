"""A process with some of the agents that `tests.bench.sweeps` lets ask for trials: each with a connection of its own.

Started by `drive`, which spreads the agents over `PROCESSES` of them and lets all begin at the same moment, so that
the clients' own Python is no queue in which answers wait; for the same reason their event loop is uvloop's. A call's
time runs from the moment at which all are to ask until its agent has read the trial's number in the answer. Nothing is
left out: the first calls count as all others. gRPC is as its library comes: no option but a connection for each agent.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from typing import Any

import grpc
import numpy as np
import uvloop

from runstream_proto.v1 import sweep_pb2 as pb
from runstream_proto.v1 import sweep_pb2_grpc as rpc

AGENTS = 200
PROCESSES = 4
_LEASE_S, _WAIT_S = 600.0, 5.0
_START_S = 0.5
"""From the word to the start: all processes have heard it by then."""


def drive(
    addresses: Sequence[str], key: str, sweep: str, seconds: float, every_s: float, *, http: bool = False
) -> dict[str, float]:
    """`http`: over HTTP and JSON, as the agents of runstream's own client ask; else over gRPC. `every_s`: all agents
    ask at the same moment, so often; 0: each again as soon as it has its trial.

    `arrival_p99_ms`: how long it took from nothing (no connection, no agent) to the first trial, all at once.
    """
    shared = {"addresses": list(addresses), "key": key, "sweep": sweep, "seconds": seconds, "every_s": every_s}
    shared["http"] = http
    command = [sys.executable, "-m", "tests.bench.lease_agents"]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)
    ]
    try:
        for number, process in enumerate(processes):
            _tell(process, shared | {"first": number * AGENTS // PROCESSES, "count": AGENTS // PROCESSES})
        for turn in range(2):  # they arrive; they work
            for process in processes:
                assert process.stdout is not None and process.stdout.readline() == "ready\n", turn
            start = time.monotonic() + _START_S
            for process in processes:
                _tell(process, start)
        found = [json.loads(process.communicate()[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
    numbers = [number for one in found for number in one["numbers"]]
    assert len(numbers) == len(set(numbers)), "a trial was leased twice"
    times_ms = [time_ms for one in found for time_ms in one["times_ms"]]
    arrivals_ms = [time_ms for one in found for time_ms in one["arrivals_ms"]]
    p50, p99 = np.percentile(times_ms, [50, 99])
    return {
        "per_s": round(len(times_ms) / max(one["took_s"] for one in found), 1),
        "p50_ms": round(float(p50), 1),
        "p99_ms": round(float(p99), 1),
        "arrival_p99_ms": round(float(np.percentile(arrivals_ms, 99)), 1),
    }


def _tell(process: subprocess.Popen[str], what: Any) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{json.dumps(what)}\n")
    process.stdin.flush()


class _Rpc:
    """A connection of one agent's own."""

    def __init__(self, address: str, key: str, index: int) -> None:
        self._metadata = (("authorization", f"Bearer {key}"),)
        options = [("agent", index), ("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.aio.insecure_channel(address, options)
        self._stub = rpc.SweepServiceStub(self._channel)  # type: ignore[no-untyped-call,unused-ignore]

    async def register(self, sweep: str) -> str:
        request = pb.RegisterAgentRequest(sweep=sweep, lease_s=_LEASE_S)
        return str((await self._stub.RegisterAgent(request, metadata=self._metadata)).id)

    async def lease(self, agent: str) -> int:
        request = pb.LeaseTrialsRequest(agent=agent, request_id=uuid.uuid4().hex, wait_s=_WAIT_S)
        answer = await self._stub.LeaseTrials(request, metadata=self._metadata, timeout=30)
        (leased,) = answer.trials
        return int(leased.trial.number)

    async def close(self) -> None:
        await self._channel.close()


class _Http:
    """The same over HTTP."""

    def __init__(self, address: str, key: str, index: int) -> None:
        self._address = address.split(":")
        self._head = f"host: {address}\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n"
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def register(self, sweep: str) -> str:
        return str((await self._ask("RegisterAgent", sweep=sweep, lease_s=_LEASE_S))["id"])

    async def lease(self, agent: str) -> int:
        answer = await self._ask("LeaseTrials", agent=agent, request_id=uuid.uuid4().hex, wait_s=_WAIT_S)
        (leased,) = answer["trials"]
        return int(leased["trial"]["number"])

    async def close(self) -> None:
        if self._open is not None:
            self._open[1].close()

    async def _ask(self, method: str, **fields: Any) -> Any:
        if self._open is None:
            self._open = await asyncio.open_connection(self._address[0], int(self._address[1]))
        reader, writer = self._open
        body = json.dumps(fields)
        head = f"POST /api/v1/{method} HTTP/1.1\r\n{self._head}content-length: {len(body)}\r\n\r\n"
        writer.write(f"{head}{body}".encode())
        answered = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        length = next(int(line.split(":")[1]) for line in answered if line.startswith("content-length:"))
        data = await reader.readexactly(length)
        assert answered[0].startswith("http/1.1 200"), data
        return json.loads(data)


class _Agents:
    def __init__(self, orders: dict[str, Any]) -> None:
        self._sweep = orders["sweep"]
        addresses, kind = orders["addresses"], _Http if orders["http"] else _Rpc
        indices = range(orders["first"], orders["first"] + orders["count"])
        self._lines: list[_Rpc | _Http] = [
            kind(addresses[index % len(addresses)], orders["key"], index) for index in indices
        ]
        self._agents: list[str] = [""] * len(self._lines)
        self.numbers: list[int] = []
        self.times_ms: list[float] = []
        self.arrivals_ms: list[float] = []

    async def arrive(self, start: float) -> None:
        async def one(index: int) -> None:
            await asyncio.sleep(start - time.monotonic())
            self._agents[index] = await self._lines[index].register(self._sweep)
            await self._lease(index)
            self.arrivals_ms.append((time.monotonic() - start) * 1000)

        await asyncio.gather(*map(one, range(len(self._lines))))

    async def work(self, start: float, seconds: float, every_s: float) -> float:
        """Seconds that it took."""

        async def one(index: int) -> None:
            turn = 0
            while (now := time.monotonic()) < start + seconds:
                if now < (due := start + turn * every_s):
                    await asyncio.sleep(due - now)
                before = time.monotonic()
                await self._lease(index)
                self.times_ms.append((time.monotonic() - (due if every_s else before)) * 1000)
                turn += 1

        await asyncio.gather(*map(one, range(len(self._lines))))
        return time.monotonic() - start

    async def close(self) -> None:
        for line in self._lines:
            await line.close()

    async def _lease(self, index: int) -> None:
        self.numbers.append(await self._lines[index].lease(self._agents[index]))


async def _main() -> None:
    orders = json.loads(sys.stdin.readline())
    agents = _Agents(orders)
    await agents.arrive(_start())
    took_s = await agents.work(_start(), orders["seconds"], orders["every_s"])
    await agents.close()
    found = {"numbers": agents.numbers, "times_ms": agents.times_ms, "arrivals_ms": agents.arrivals_ms}
    print(json.dumps({**found, "took_s": took_s}))


def _start() -> float:
    print("ready", flush=True)
    return float(json.loads(sys.stdin.readline()))


if __name__ == "__main__":
    uvloop.run(_main())
