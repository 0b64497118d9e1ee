"""Object storage: one contract, on a local folder and on S3's protocol over HTTP."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from runstream_common.objects import MediaConfig, MediaError, MediaMissingError, MediaStore
from runstream_common.service.config import ConfigError, Env
from tests.support.s3 import BUCKET, S3Server


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    """A server that speaks S3 (moto's), with a bucket."""
    server = S3Server()
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MediaStore:
    if request.param == "folder":
        return MediaStore(MediaConfig(tmp_path.as_uri()))
    for name, value in request.getfixturevalue("s3").environment().items():
        monkeypatch.setenv(name, value)
    return MediaStore(MediaConfig(f"s3://{BUCKET}/{os.urandom(4).hex()}"))


async def parts(data: bytes, size: int = 300_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def name_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def read(store: MediaStore, project: str, sha256: str) -> bytes:
    size, stream = await store.get(project, sha256)
    data = b"".join([part async for part in stream])
    assert len(data) == size
    return data


@pytest.mark.parametrize("size", [0, 1, 1_000_000, 20_000_000])
async def test_a_content_comes_back_as_it_was_stored(store: MediaStore, size: int) -> None:
    data = os.urandom(size)
    assert not await store.has("team/a", name_of(data))
    await store.put("team/a", name_of(data), size, parts(data))
    assert await store.has("team/a", name_of(data))
    assert await read(store, "team/a", name_of(data)) == data
    await store.put("team/a", name_of(data), size, parts(data))  # again is no harm


async def test_projects_do_not_see_each_others_contents(store: MediaStore) -> None:
    await store.put("team/a", name_of(b"x"), 1, parts(b"x"))
    assert not await store.has("team/b", name_of(b"x"))
    with pytest.raises(MediaMissingError):
        await store.get("team/b", name_of(b"x"))


@pytest.mark.parametrize("size", [1000, 20_000_000])
@pytest.mark.parametrize("lie", ["content", "longer", "shorter"])
async def test_bytes_that_are_not_what_they_claim_to_be_leave_nothing(store: MediaStore, lie: str, size: int) -> None:
    data = os.urandom(size)
    announced = {"content": size, "longer": size - 1, "shorter": size + 1}[lie]
    sha256 = name_of(b"else") if lie == "content" else name_of(data)
    with pytest.raises(MediaError):
        await store.put("team/a", sha256, announced, parts(data))
    assert not await store.has("team/a", sha256)


def test_a_place_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match="RUNSTREAM_MEDIA_URL"):
        MediaConfig.from_env(Env({"RUNSTREAM_MEDIA_URL": "ftp://host/folder"}))
