"""Object storage for media and files: a local folder or anything S3-compatible, through obstore.

The name of a content is the hash of its bytes: `TEAM/PROJECT/media/AB/<sha256>`. A project's contents are its own, so
that who may read a project may read them, and deleting a project deletes them.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, SupportsBytes, TypedDict
from urllib.parse import urlsplit

from runstream_common.service.config import ConfigError, Env

_PART_BYTES = 5 << 20
"""The smallest part that S3 accepts."""


class _ObjectMeta(TypedDict):
    size: int


class _StoredObject(Protocol):
    @property
    def meta(self) -> _ObjectMeta: ...

    def stream(self, min_chunk_size: int) -> AsyncIterator[SupportsBytes]: ...


class _ObjectStore(Protocol):
    """The part of obstore's stores that is used here."""

    async def head_async(self, path: str) -> object: ...

    async def put_async(
        self, path: str, file: bytes | AsyncIterator[bytes], *, chunk_size: int = ..., max_concurrency: int = ...
    ) -> object: ...

    async def delete_async(self, paths: str) -> None: ...

    async def get_async(self, path: str) -> _StoredObject: ...


class MediaError(Exception):
    """The upload cannot be stored; the message says why."""


class MediaMissingError(Exception):
    """There is no such content in this project."""


@dataclass(frozen=True, slots=True)
class MediaConfig:
    """Where media are kept."""

    url: str
    """file:///folder or s3://bucket/prefix (credentials, region and endpoint as AWS_* variables)"""

    @classmethod
    def from_env(cls, env: Env) -> MediaConfig:
        """Return the configuration. Raise ConfigError that names the variable."""
        url = env.text("RUNSTREAM_MEDIA_URL", "file:///var/lib/runstream/media")
        if urlsplit(url).scheme not in ("file", "s3", "gs", "az", "memory"):
            raise ConfigError(
                f"RUNSTREAM_MEDIA_URL is {url!r}: give file:///folder, s3://bucket/prefix, gs:// or az://"
            )
        return cls(url)


class MediaStore:
    """Store contents of projects. Several tasks may call it at once."""

    def __init__(self, config: MediaConfig) -> None:
        """Open the storage. Raise ConfigError when it cannot be opened."""
        from obstore.store import LocalStore, from_url

        try:
            if config.url.startswith("file://"):
                folder = Path(urlsplit(config.url).path)
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._store: _ObjectStore = LocalStore(folder, mkdir=True)
            else:
                # Plain HTTP for the MinIO of a private network; the endpoint's own scheme decides.
                self._store = from_url(config.url, client_options={"allow_http": True})
        except Exception as error:
            raise ConfigError(f"RUNSTREAM_MEDIA_URL {config.url!r} cannot be opened: {error}") from error

    async def has(self, project: str, sha256: str) -> bool:
        try:
            await self._store.head_async(object_path(project, sha256))
        except FileNotFoundError:
            return False
        return True

    async def put(self, project: str, sha256: str, size: int, parts: AsyncIterator[bytes]) -> None:
        """Store a content when its bytes are what they claim to be, else nothing. Raise MediaError.

        This holds one part in memory. A content under its name is always whole, because it gets its name last.
        """
        path = object_path(project, sha256)
        digest = hashlib.sha256()
        seen = 0

        async def checked() -> AsyncIterator[bytes]:
            nonlocal seen
            async for part in parts:
                digest.update(part)
                seen += len(part)
                if seen > size:
                    raise MediaError(f"more bytes came than the {size} announced")
                yield part
            if seen != size or digest.hexdigest() != sha256:
                raise MediaError(f"{seen} bytes with the SHA-256 {digest.hexdigest()} came, not what was announced")

        if size <= _PART_BYTES:
            await self._store.put_async(path, b"".join([part async for part in checked()]))
        else:
            # An upload that raises in between is abandoned: nothing appears under the name.
            await self._store.put_async(path, checked(), chunk_size=_PART_BYTES, max_concurrency=2)

    async def delete(self, project: str, contents: Sequence[str]) -> None:
        """Delete contents by their SHA-256. A content that does not exist is no error."""
        for sha256 in contents:
            with contextlib.suppress(FileNotFoundError):
                await self._store.delete_async(object_path(project, sha256))

    async def get(self, project: str, sha256: str) -> tuple[int, AsyncIterator[bytes]]:
        """Return a content's size in bytes, and its bytes in parts. Raise MediaMissingError."""
        try:
            result = await self._store.get_async(object_path(project, sha256))
        except FileNotFoundError:
            raise MediaMissingError(f"there is no content {sha256[:12]}... in {project}") from None

        async def parts() -> AsyncIterator[bytes]:
            async for part in result.stream(min_chunk_size=1 << 20):
                yield bytes(part)

        return result.meta["size"], parts()


def object_path(project: str, sha256: str) -> str:
    """Return the path of a content. `project` is "team/project", both checked names; `sha256` has 64 hex digits."""
    return f"{project}/media/{sha256[:2]}/{sha256}"
