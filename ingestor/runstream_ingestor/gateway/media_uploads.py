"""Uploads of files into object storage: the work of `PutMedia` and `FindMissingMedia` for a known caller."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

from runstream_common.identity import full_project
from runstream_common.limits import MAX_MEDIA_PART_BYTES
from runstream_common.objects import MediaError, MediaStore
from runstream_control.control_store import ControlStore
from runstream_control.principal import Principal
from runstream_ingestor.gateway.instruments import GatewayInstruments
from runstream_proto.v1 import ingest_pb2 as pb

_SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_HASHES_PER_REQUEST = 1000
MAX_UPLOADS = 16
"""The most uploads at once. Each takes up to 15 MB of memory; others wait in gRPC's flow control."""


class MediaUploads:
    """Take uploads for projects to which the caller may write."""

    def __init__(
        self, store: ControlStore, media: MediaStore, max_media_bytes: int, instruments: GatewayInstruments
    ) -> None:
        self._store = store
        self._media = media
        self._max_bytes = max_media_bytes
        self._instruments = instruments
        self._slots = asyncio.Semaphore(MAX_UPLOADS)

    async def put(self, principal: Principal, uploads: AsyncIterator[pb.MediaUpload]) -> pb.MediaStored:
        """Store a file. Raise MediaError when the upload is wrong, ControlError when the caller may not write."""
        first = await anext(aiter(uploads), None)
        if first is None or first.WhichOneof("part") != "header":
            raise MediaError("an upload begins with a header")
        header = first.header
        project = await self._project(principal, header.run)
        _check_sha256(header.sha256)
        if header.size_bytes > self._max_bytes:
            raise MediaError(
                f"a file of {header.size_bytes} bytes: at most {self._max_bytes} are allowed (RUNSTREAM_MAX_MEDIA_MB)"
            )
        async with self._slots:
            if await self._media.has(project, header.sha256):
                return pb.MediaStored(existed=True)
            await self._media.put(project, header.sha256, header.size_bytes, _bytes(uploads))
        self._instruments.media_stored(header.size_bytes)
        return pb.MediaStored()

    async def missing(self, principal: Principal, request: pb.MediaQuestion) -> pb.MediaAnswer:
        """Return which of the contents are not stored yet. Raise MediaError or ControlError."""
        if len(request.sha256) > MAX_HASHES_PER_REQUEST:
            raise MediaError(
                f"the request has {len(request.sha256)} hashes: at most {MAX_HASHES_PER_REQUEST} are allowed"
            )
        project = await self._project(principal, request.run)
        for sha256 in request.sha256:
            _check_sha256(sha256)
        return pb.MediaAnswer(missing=[name for name in request.sha256 if not await self._media.has(project, name)])

    async def _project(self, principal: Principal, run: pb.RunPath) -> str:
        team = await self._store.writable_project(principal, team=run.team, project=run.project)
        return full_project(team, run.project)


async def _bytes(uploads: AsyncIterator[pb.MediaUpload]) -> AsyncIterator[bytes]:
    async for upload in uploads:
        if upload.WhichOneof("part") != "data":
            raise MediaError("an upload has only one header")
        if len(upload.data) > MAX_MEDIA_PART_BYTES:
            raise MediaError(f"a part has {len(upload.data)} bytes: at most {MAX_MEDIA_PART_BYTES} are allowed")
        yield upload.data


def _check_sha256(text: str) -> None:
    if not _SHA256.fullmatch(text):
        raise MediaError("a SHA-256 is 64 lower-case hex digits")
