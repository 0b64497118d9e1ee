"""A query service of its own, with a control database of its own, beside a stack's ClickHouse: what sweeps need."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import grpc
import pytest

from runstream_control.control_store import ControlStore
from runstream_control.principal import Role
from runstream_proto.v1 import sweep_pb2 as pb
from runstream_proto.v1 import sweep_pb2_grpc as rpc
from tests.support.processes import Service, free_port
from tests.support.stack import ServiceStack

TEAM = "main"
LOSS = {"name": "loss", "goal": "minimize"}


def bowl(**keys: Any) -> dict[str, Any]:
    return {"method": "random", "metric": LOSS, "seed": 1, "parameters": {"x": {"min": 0.0, "max": 1.0}}, **keys}


def refused(code: grpc.StatusCode, words: str, call: Any, *arguments: Any, **fields: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **fields)
    assert caught.value.code() is code, caught.value.details()
    assert words in caught.value.details()


class SweepServer:
    def __init__(self, stack: ServiceStack, folder: Path, control_url: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.control_url = control_url
        self.ports = {name: free_port() for name in ("http", "grpc", "ops")}
        self._service = Service(
            "runstream_query",
            folder / "query.log",
            {
                **stack.environment,
                "RUNSTREAM_CONTROL_URL": control_url,
                "RUNSTREAM_QUERY_HTTP": f"127.0.0.1:{self.ports['http']}",
                "RUNSTREAM_QUERY_GRPC": f"127.0.0.1:{self.ports['grpc']}",
                "RUNSTREAM_QUERY_OPS": f"127.0.0.1:{self.ports['ops']}",
            },
        )
        self.key = ""

    def start(self) -> SweepServer:
        if not self.key:
            self.key = self.new_key("tester")
        self._service.start()
        self._service.wait_answering(f"http://127.0.0.1:{self.ports['ops']}/healthz")
        return self

    def kill(self) -> None:
        self._service.kill()

    def stop(self) -> None:
        self._service.stop()

    @property
    def pid(self) -> int:
        return self._service.pid

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.ports['grpc']}"

    def new_key(self, user: str, team: str = TEAM, role: Role = Role.MEMBER) -> str:
        async def make() -> str:
            store = ControlStore.open(self.control_url)
            await store.migrate()
            key = await store.create_api_key(user, team, role)
            await store.close()
            return str(key)

        return asyncio.run(make())

    def client(self, key: str = "") -> SweepClient:
        return SweepClient(self.address, key or self.key)


class SweepClient:
    """One caller. The methods of the service by name, with the fields of their requests."""

    def __init__(self, address: str, key: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._stub = rpc.SweepServiceStub(self._channel)
        self._metadata = (("authorization", f"Bearer {key}"),)

    def call(self, method: str, request: Any) -> Any:
        return getattr(self._stub, method)(request, metadata=self._metadata, timeout=60, wait_for_ready=True)

    def close(self) -> None:
        self._channel.close()

    def create(self, definition: dict[str, Any], project: str = "sweeps", **fields: Any) -> pb.Sweep:
        request = pb.CreateSweepRequest(project=project, definition_json=json.dumps(definition), **fields)
        return self.call("CreateSweep", request)  # type: ignore[no-any-return]

    def sweep(self, sweep: str) -> pb.Sweep:
        return self.call("GetSweep", pb.GetSweepRequest(sweep=sweep))  # type: ignore[no-any-return]

    def command(self, sweep: str, command: pb.SweepCommand.ValueType, reason: str = "") -> pb.Sweep:
        request = pb.CommandSweepRequest(sweep=sweep, command=command, reason=reason)
        return self.call("CommandSweep", request)  # type: ignore[no-any-return]

    def agent(self, sweep: str, name: str = "", **fields: Any) -> str:
        request = pb.RegisterAgentRequest(sweep=sweep, name=name, **fields)
        return str(self.call("RegisterAgent", request).id)

    def lease(self, agent: str, count: int = 1, wait_s: float = 0, request_id: str = "") -> pb.LeaseTrialsResponse:
        request = pb.LeaseTrialsRequest(
            agent=agent, count=count, wait_s=wait_s, request_id=request_id or uuid.uuid4().hex
        )
        return self.call("LeaseTrials", request)  # type: ignore[no-any-return]

    def beat(self, agent: str, *leased: pb.LeasedTrial) -> pb.HeartbeatResponse:
        trials = [pb.TrialBeat(number=one.trial.number, lease=one.lease) for one in leased]
        return self.call("Heartbeat", pb.HeartbeatRequest(agent=agent, trials=trials))  # type: ignore[no-any-return]

    def end(
        self, agent: str, leased: pb.LeasedTrial, *values: float, outcome: str = "FINISHED", **fields: Any
    ) -> pb.EndTrialResponse:
        request = pb.EndTrialRequest(
            agent=agent,
            number=leased.trial.number,
            lease=leased.lease,
            outcome=pb.EndTrialRequest.Outcome.Value(f"OUTCOME_{outcome}"),
            values=values,
            **fields,
        )
        return self.call("EndTrial", request)  # type: ignore[no-any-return]

    def trials(self, sweep: str, **fields: Any) -> list[pb.Trial]:
        request = pb.ListTrialsRequest(sweep=sweep, page_size=1000, **fields)
        return list(self.call("ListTrials", request).trials)

    def summary(self, sweep: str) -> pb.SweepSummary:
        return self.call("GetSweepSummary", pb.GetSweepSummaryRequest(sweep=sweep))  # type: ignore[no-any-return]

    def changes(self, sweep: str) -> list[pb.SweepChange]:
        return list(self.call("ListSweepChanges", pb.ListSweepChangesRequest(sweep=sweep)).changes)
