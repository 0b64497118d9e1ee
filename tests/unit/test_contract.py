"""The contract in `proto/`: what every method declares."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor_pb2 import MethodOptions

from runstream_proto.v1 import account_pb2, ingest_pb2, query_pb2, sweep_pb2
from runstream_query.transport.dispatcher import CHANGES

METHODS = {
    method.name: method
    for contract in (account_pb2, ingest_pb2, query_pb2, sweep_pb2)
    for service in contract.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


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
    assert levels.keys() - reading - {"Stream", "PutMedia"} == CHANGES
