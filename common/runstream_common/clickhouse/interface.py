"""The part of clickhouse-connect's asynchronous client that the servers use, as types.

The driver's own annotations are not checked here (`follow_imports = "skip"`), and say `Any` for most arguments. A test
may pass any object that has the methods that its caller uses.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol

import pyarrow as pa

Row = Sequence[Any]
"""One row. The types of its values are those of the statement's columns."""
Parameters = dict[str, Any]
"""Values by the name of their placeholder, `{name:Type}`. It is a dict because the driver binds no other mapping."""
Settings = Mapping[str, str | int | float]
"""Settings of the engine for one statement."""


class QueryResult(Protocol):
    """The whole result of a query."""

    @property
    def column_names(self) -> Sequence[str]: ...

    @property
    def result_rows(self) -> Sequence[Row]: ...


class ByteStream(Protocol):
    """A result that arrives in pieces. Leaving its context ends the query."""

    async def __aenter__(self) -> ByteStream: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None: ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...


class ClickHouseClient(Protocol):
    """A connection pool to one database.

    All methods raise the driver's and the network's own exceptions, which
    `runstream_common.clickhouse.client.classify` turns into StorageError.
    """

    async def query(
        self, query: str, parameters: Parameters | None = None, settings: Settings | None = None
    ) -> QueryResult:
        """Return all rows of a query."""
        ...

    async def query_arrow(
        self, query: str, parameters: Parameters | None = None, settings: Settings | None = None
    ) -> pa.Table:
        """Return the result of a query as an Arrow table."""
        ...

    async def command(self, cmd: str, parameters: Parameters | None = None, settings: Settings | None = None) -> object:
        """Run a statement whose result does not matter."""
        ...

    async def insert(
        self,
        table: str,
        data: Sequence[Row],
        column_names: Sequence[str] = ...,
        *,
        settings: Settings | None = None,
    ) -> object:
        """Insert rows. Without `async_insert`, they are stored when this returns."""
        ...

    async def raw_insert(
        self,
        table: str,
        column_names: Sequence[str] | None = None,
        insert_block: bytes | None = None,
        settings: Settings | None = None,
        fmt: str | None = None,
    ) -> object:
        """Insert data that are in one of the engine's formats already."""
        ...

    async def raw_query(
        self,
        query: str,
        parameters: Parameters | None = None,
        settings: Settings | None = None,
        fmt: str | None = None,
    ) -> bytes:
        """Return the whole result in one of the engine's formats."""
        ...

    async def raw_stream(
        self,
        query: str,
        parameters: Parameters | None = None,
        settings: Settings | None = None,
        fmt: str | None = None,
    ) -> ByteStream:
        """Return the result in one of the engine's formats, as it arrives."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...
