"""A client of ClickHouse's HTTP protocol without a driver: it yields the server's bytes, in parts."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from runstream_common.clickhouse.client import (
    ClickHouseConfig,
    StorageError,
    StorageRefusedError,
    StorageUnavailableError,
)

_ERROR_BYTES = 64 << 10
_CODE = re.compile(r"Code: (\d+)")
_BUSY = frozenset({202, 203, 209, 210, 225, 236, 242, 279, 285, 394, 425, 516, 999})
"""Error numbers that mean that the server cannot answer now.

A limit that was hit is a fault of the query, not listed here.
"""


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """A successful answer whose body has not been read yet."""

    headers: Mapping[str, str]
    parts: AsyncIterator[bytes]
    """The parts of the body as they arrive, still in the `content-encoding` of the headers."""

    async def read(self) -> bytes:
        return b"".join([part async for part in self.parts])


class RawClickHouse:
    """A client that many tasks may use at once. Leaving an answer early ends the query on the server."""

    def __init__(self, config: ClickHouseConfig, connections: int = 64) -> None:
        """Make a client. Call this inside the event loop."""
        parts = urlsplit(config.url)
        port = parts.port or (8443 if parts.scheme == "https" else 8123)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        self._url = f"{parts.scheme}://{host}:{port}/"
        self.database = config.database
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections),
            timeout=aiohttp.ClientTimeout(total=None, connect=5, sock_read=config.timeout_s),
            headers={"x-clickhouse-user": config.user, "x-clickhouse-key": config.password},
            auto_decompress=False,
        )

    @contextlib.asynccontextmanager
    async def ask(
        self,
        sql: str,
        *,
        output_format: str,
        parameters: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        protocol: Mapping[str, str] | None = None,
        accept_encoding: str = "identity",
    ) -> AsyncIterator[RawAnswer]:
        """Run a query and yield its answer.

        `parameters` are values as TSV escapes them; `protocol` are URL parameters that are not settings. Raise
        StorageRefusedError with ClickHouse's error number, or StorageUnavailableError.
        """
        # The query is sent as a form, because a parameter may be longer than a URL.
        form = aiohttp.FormData(default_to_multipart=True)
        form.add_field("query", sql)
        for name, value in (parameters or {}).items():
            form.add_field(f"param_{name}", value)
        query = {
            "database": self.database,
            "default_format": output_format,
            "cancel_http_readonly_queries_on_client_close": "1",
            **(protocol or {}),
            **(settings or {}),
        }
        try:
            async with self._session.post(
                self._url, params=query, data=form, headers={"accept-encoding": accept_encoding}
            ) as response:
                if response.status != 200:
                    raise _refusal((await response.content.read(_ERROR_BYTES)).decode("utf-8", "replace"))
                yield RawAnswer(
                    {name.lower(): value for name, value in response.headers.items()}, response.content.iter_any()
                )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise StorageUnavailableError(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        await self._session.close()


def _refusal(text: str) -> StorageError:
    match = _CODE.search(text)
    code = int(match[1]) if match else 0
    message = text.strip()[:4000]
    if not code or code in _BUSY:
        return StorageUnavailableError(message)
    return StorageRefusedError(message, code)
