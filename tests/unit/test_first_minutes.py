"""What people meet in their first minutes: contracts that compile, commands that take what is written, errors that name
where the trouble is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from runstream_common.clickhouse.client import ClickHouseConfig, StorageUnavailableError, connect
from runstream_control.cli import _parser
from tests.support.processes import free_port

PROTO = Path(__file__).parents[2] / "proto"


def test_the_contract_compiles_where_it_lies(tmp_path: Path) -> None:
    """As other languages do it: protoc -I proto proto/runstream/v1/*.proto"""
    import grpc_tools
    from grpc_tools import protoc

    sources = [str(path) for path in sorted((PROTO / "runstream/v1").glob("*.proto"))]
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    out = tmp_path / "contract"
    assert protoc.main(["protoc", f"-I{PROTO}", f"-I{well_known}", f"--descriptor_set_out={out}", *sources]) == 0
    assert out.stat().st_size > 10_000


@pytest.mark.parametrize("arguments", [["list", "--control-url", "u"], ["--control-url", "u", "list"]])
def test_key_takes_its_database_before_and_after_the_command(arguments: list[str]) -> None:
    assert _parser().parse_args(arguments).control_url == "u"


def test_a_clickhouse_that_is_not_there_is_named_with_its_protocol() -> None:
    url = f"http://127.0.0.1:{free_port()}/default"
    with pytest.raises(StorageUnavailableError, match=url.removesuffix("/default") + r" \(its HTTP interface, as user"):
        asyncio.run(connect(ClickHouseConfig(url)))
