"""Uploads at the gateway's edge: who may, what is taken, and that what is refused leaves nothing."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
import pytest

from runstream_control.control_store import ControlStore
from runstream_control.principal import Role
from runstream_proto.v1 import ingest_pb2 as pb
from runstream_proto.v1 import ingest_pb2_grpc as rpc
from tests.support.stack import ServiceStack

RUN = pb.RunPath(project="uploads", run="r")


@pytest.fixture
async def stub(embedded: ServiceStack) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(embedded.address("gateway")) as channel:
        yield rpc.IngestServiceStub(channel)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def upload(data: bytes, **header: Any) -> list[pb.MediaUpload]:
    fields = {"run": RUN, "sha256": sha(data), "size_bytes": len(data), **header}
    parts = [data[start : start + 500_000] for start in range(0, len(data), 500_000)]
    return [pb.MediaUpload(header=pb.MediaHeader(**fields)), *(pb.MediaUpload(data=part) for part in parts)]


async def put(stub: Any, key: str, messages: Iterable[pb.MediaUpload]) -> pb.MediaStored:
    async def send() -> AsyncIterator[pb.MediaUpload]:
        for message in messages:
            yield message

    stored: pb.MediaStored = await stub.PutMedia(send(), metadata=(("authorization", f"Bearer {key}"),), timeout=20)
    return stored


async def refused(stub: Any, key: str, messages: Iterable[pb.MediaUpload]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await put(stub, key, messages)
    return error.value.code(), str(error.value.details())


async def test_a_content_is_stored_once_and_then_not_missing(stub: Any, embedded: ServiceStack) -> None:
    data = os.urandom(3_000_000)
    question = pb.MediaQuestion(run=RUN, sha256=[sha(data), sha(b"never")])
    metadata = (("authorization", f"Bearer {embedded.key}"),)
    assert list((await stub.FindMissingMedia(question, metadata=metadata)).missing) == list(question.sha256)
    assert not (await put(stub, embedded.key, upload(data))).existed
    assert list((await stub.FindMissingMedia(question, metadata=metadata)).missing) == [sha(b"never")]
    assert (await put(stub, embedded.key, upload(data))).existed


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([], "begins with a header"),
        ([pb.MediaUpload(data=b"x")], "begins with a header"),
        (upload(b"x", sha256="../../etc/passwd"), "64 lower-case hex"),
        (upload(b"x", sha256=sha(b"x").upper()), "64 lower-case hex"),
        (upload(b"x", size_bytes=2), "not what was announced"),
        (upload(b"xyz", size_bytes=2), "more bytes came"),
        (upload(b"x", sha256=sha(b"y")), "not what was announced"),
        (upload(b"x", size_bytes=1 << 50), "RUNSTREAM_MAX_MEDIA_MB"),
        ([*upload(b"xy", sha256=sha(b"xyxy"), size_bytes=4), *upload(b"xy")], "one header"),
        ([*upload(b"", sha256=sha(b"z"), size_bytes=2 << 20), pb.MediaUpload(data=bytes(2 << 20))], "at most"),
        (upload(b"x", run=pb.RunPath(project="a/b", run="r")), "the project"),
        (upload(b"x", run=pb.RunPath(project="..", run="r")), "the project"),
        (upload(b"x", run=pb.RunPath(team="../main", project="p", run="r")), "the team"),
        (upload(b"x", run=pb.RunPath(run="r")), "the project"),
    ],
)
async def test_what_is_wrong_with_an_upload_is_said(
    stub: Any, embedded: ServiceStack, messages: list[pb.MediaUpload], words: str
) -> None:
    status, said = await refused(stub, embedded.key, messages)
    assert status is grpc.StatusCode.INVALID_ARGUMENT and words in said


async def test_only_members_may_upload(stub: Any, embedded: ServiceStack) -> None:
    store = ControlStore.open(embedded.control_url)
    other = await store.create_api_key("stranger", "elsewhere")
    reader = await store.create_api_key("reader", "readers", Role.VIEWER)
    await store.close()
    for key, path, expected in [
        ("", RUN, grpc.StatusCode.UNAUTHENTICATED),
        ("rs_000000000000_" + "x" * 43, RUN, grpc.StatusCode.UNAUTHENTICATED),
        (other, pb.RunPath(team="main", project="uploads", run="r"), grpc.StatusCode.PERMISSION_DENIED),
        (reader, pb.RunPath(team="readers", project="uploads", run="r"), grpc.StatusCode.PERMISSION_DENIED),
    ]:
        assert (await refused(stub, key, upload(b"secret", run=path)))[0] is expected
        with pytest.raises(grpc.aio.AioRpcError) as error:
            metadata = (("authorization", f"Bearer {key}"),)
            await stub.FindMissingMedia(pb.MediaQuestion(run=path, sha256=[sha(b"x")]), metadata=metadata)
        assert error.value.code() is expected


async def test_many_uploads_at_once_are_all_stored(stub: Any, embedded: ServiceStack) -> None:
    contents = [os.urandom(700_000) for _ in range(40)]
    await asyncio.gather(*(put(stub, embedded.key, upload(data)) for data in contents))
    metadata = (("authorization", f"Bearer {embedded.key}"),)
    question = pb.MediaQuestion(run=RUN, sha256=[sha(data) for data in contents])
    assert not (await stub.FindMissingMedia(question, metadata=metadata)).missing
