"""The contract in `proto/`: what every method declares, and that the query service's table has every method."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from google.protobuf.descriptor_pb2 import MethodOptions

from runstream_common.objects import MediaConfig, MediaStore
from runstream_control.control_store import ControlStore
from runstream_proto.v1 import account_pb2, ingest_pb2, query_pb2, sweep_pb2
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.storage import Storage
from runstream_query.methods.method_table import MethodTable, Queue, ServiceEntries, StreamingMethod
from runstream_query.methods.query_service import QueryService
from runstream_query.runs.deletion import Deletion

METHODS = {
    method.name: method
    for contract in (account_pb2, ingest_pb2, query_pb2, sweep_pb2)
    for service in contract.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
CHANGES = {
    *("CreateApiKey", "RevokeApiKey", "CreateSaved", "UpdateSaved", "DeleteSaved", "RestoreSaved"),
    *("DeleteRuns", "DeleteMetric", "DeleteProject", "SetRetention", "UpdateRuns", "UpdateProject"),
    *("CreateSweep", "UpdateSweep", "CommandSweep", "DeleteSweep"),
    *("RegisterAgent", "LeaseTrials", "Heartbeat", "EndTrial", "ReportValues", "AddTrials"),
}
QUERY = ServiceEntries(pb.DESCRIPTOR.services_by_name["QueryService"])


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[MethodTable]:
    store = ControlStore.open(f"sqlite:///{tmp_path}/control.db")
    storage = Storage(Mock())
    service = QueryService(storage, store, Deletion(Mock(), storage, store, MediaStore(MediaConfig("memory:///"))))
    yield service.methods
    await service.close()
    await store.close()


@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_whether_it_may_be_repeated(name: str) -> None:
    assert METHODS[name].GetOptions().HasField("idempotency_level"), "add `option idempotency_level` to the method"


def test_what_is_called_a_reading_has_no_side_effects_and_nothing_else() -> None:
    reading = {
        name for name in METHODS if name.startswith(("Get", "List", "Find", "Count", "Compare", "Verify", "Export"))
    }
    reading |= {"WhoAmI", "RankRuns", "RunSql", "WatchRuns"}
    levels = {name: method.GetOptions().idempotency_level for name, method in METHODS.items()}
    assert {name for name, level in levels.items() if level == MethodOptions.NO_SIDE_EFFECTS} == reading


async def test_table_and_contract_have_the_same_methods(table: MethodTable) -> None:
    declared = [
        method
        for service in (
            query_pb2.DESCRIPTOR.services_by_name["QueryService"],
            sweep_pb2.DESCRIPTOR.services_by_name["SweepService"],
            account_pb2.DESCRIPTOR.services_by_name["AccountService"],
        )
        for method in service.methods
    ]
    assert {method.full_name for method in declared} == {method.descriptor.full_name for method in table}
    for method in table:
        assert method.descriptor is METHODS[method.name]
        assert (
            method.descriptor.input_type,
            method.descriptor.output_type,
        ) == (method.request_type.DESCRIPTOR, method.response_type.DESCRIPTOR)
        assert isinstance(method, StreamingMethod) == method.descriptor.server_streaming
        assert method.handler.__name__ == method.name


async def test_what_a_method_changes_and_when_it_waits_follows_from_the_table(table: MethodTable) -> None:
    assert {method.name for method in table if method.has_side_effects} == CHANGES
    assert {method.name for method in table if method.is_carried_through} == CHANGES - {"LeaseTrials"}
    queues = {method.name: method.queue for method in table}
    assert {name for name, queue in queues.items() if queue is Queue.EXPORTS} == {"ExportPoints", "ExportRows"}
    waiting_changes = CHANGES & {name for name, queue in queues.items() if queue is Queue.REQUESTS}
    assert waiting_changes == {"DeleteRuns", "DeleteMetric", "DeleteProject", "UpdateRuns"}


def test_an_entry_with_other_types_than_the_contract_is_refused() -> None:
    async def GetRun(principal: object, request: pb.ListRunsRequest) -> pb.Run:
        raise NotImplementedError

    async def NoMethod(principal: object, request: pb.GetRunRequest) -> pb.Run:
        raise NotImplementedError

    with pytest.raises(TypeError, match="GetRun is declared otherwise"):
        QUERY.unary(pb.ListRunsRequest, pb.Run)(GetRun)
    with pytest.raises(KeyError):
        QUERY.unary(pb.GetRunRequest, pb.Run)(NoMethod)
