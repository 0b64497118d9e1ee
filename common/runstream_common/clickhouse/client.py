"""Access to ClickHouse over HTTP, the same for a cluster and for the embedded engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

import aiohttp
import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError

from runstream_common.errors import ReportedError
from runstream_common.service.config import ConfigError, Env

DEFAULT_URL = "http://127.0.0.1:7463/default"
_RETRY_CODES = frozenset(
    {
        3,  # UNEXPECTED_END_OF_FILE: the body was cut on its way
        159,  # TIMEOUT_EXCEEDED
        164,  # READONLY: a replica that lost its keeper
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        203,  # NO_FREE_CONNECTION
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        225,  # NO_ZOOKEEPER
        236,  # ABORTED: shutting down
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS
        279,  # ALL_CONNECTION_TRIES_FAILED
        285,  # TOO_FEW_LIVE_REPLICAS
        319,  # UNKNOWN_STATUS_OF_INSERT
        394,  # QUERY_WAS_CANCELLED
        425,  # SYSTEM_ERROR
        516,  # AUTHENTICATION_FAILED: an operator repairs it, and the data are not at fault
        999,  # KEEPER_EXCEPTION
    }
)

_THE_DATA = frozenset(
    {
        6,  # CANNOT_PARSE_TEXT
        26,  # CANNOT_PARSE_QUOTED_STRING
        27,  # CANNOT_PARSE_INPUT_ASSERTION_FAILED
        33,  # CANNOT_READ_ALL_DATA
        53,  # TYPE_MISMATCH
        69,  # ARGUMENT_OUT_OF_BOUND
        70,  # CANNOT_CONVERT_TYPE
        117,  # INCORRECT_DATA
        128,  # TOO_LARGE_ARRAY_SIZE
        131,  # TOO_LARGE_STRING_SIZE
        321,  # VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
        349,  # CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
        469,  # VIOLATED_CONSTRAINT
    }
)
"""Errors of an insert that mean that the batch itself is wrong, and always will be.

Any other error (a full disk, a missing table, a right that was taken away) is repaired on the server, and no batch is
put aside for it.
"""


DAMAGE_CODES = frozenset(
    {
        32,  # ATTEMPT_TO_READ_AFTER_EOF
        33,  # CANNOT_READ_ALL_DATA
        39,  # TOO_LARGE_SIZE_COMPRESSED
        40,  # CHECKSUM_DOESNT_MATCH
        74,  # CANNOT_READ_FROM_FILE_DESCRIPTOR
        87,  # CANNOT_SEEK_THROUGH_FILE
        91,  # SIZES_OF_MARKS_FILES_ARE_INCONSISTENT
        107,  # FILE_DOESNT_EXIST
        226,  # NO_FILE_IN_DATA_PART
        227,  # UNEXPECTED_FILE_IN_DATA_PART
        228,  # BAD_SIZE_OF_FILE_IN_DATA_PART
        246,  # CORRUPTED_DATA
        271,  # CANNOT_DECOMPRESS
        361,  # SEEK_POSITION_OUT_OF_BOUND
        432,  # UNKNOWN_CODEC
        740,  # POTENTIALLY_BROKEN_DATA_PART
    }
)
"""Errors of a read that mean that the stored data are damaged."""


class StorageError(ReportedError):
    """ClickHouse did not do what the caller asked for."""


class StorageUnavailableError(StorageError):
    """ClickHouse cannot be reached, or cannot do it now. It is unknown whether anything was stored: try again."""


class StorageRefusedError(StorageError):
    """ClickHouse will never do this. `code` is ClickHouse's error number, or 0 where it gave none."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class ClickHouseConfig:
    url: str = DEFAULT_URL
    """http(s)://host:port/database"""
    user: str = "default"
    password: str = ""
    cluster: str = ""
    timeout_s: float = 60.0
    compression: str = ""
    """The compression of requests and answers: empty for none (on loopback), lz4 or zstd."""

    @classmethod
    def from_env(cls, env: Env) -> ClickHouseConfig:
        """Return the configuration. Raise ConfigError that names the variable."""
        config = cls(
            url=env.text("RUNSTREAM_CLICKHOUSE_URL", DEFAULT_URL),
            user=env.text("RUNSTREAM_CLICKHOUSE_USER", "default"),
            password=env.secret("RUNSTREAM_CLICKHOUSE_PASSWORD") or "",
            cluster=env.text("RUNSTREAM_CLICKHOUSE_CLUSTER", ""),
            timeout_s=env.seconds("RUNSTREAM_CLICKHOUSE_TIMEOUT_S", 60.0),
            compression=env.text("RUNSTREAM_CLICKHOUSE_COMPRESSION", "", ("", "lz4", "zstd")),
        )
        parts = urlsplit(config.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"RUNSTREAM_CLICKHOUSE_URL is {config.url!r}: give http://host:port/database")
        return config

    @property
    def database(self) -> str:
        return urlsplit(self.url).path.strip("/") or "default"


async def connect(config: ClickHouseConfig, **settings: Any) -> Any:
    """Return an async client of clickhouse-connect.

    Raise StorageUnavailableError or StorageRefusedError; the message names the address and the user and database.
    """
    parts = urlsplit(config.url)
    try:
        return await clickhouse_connect.get_async_client(
            host=parts.hostname,
            port=parts.port or (8443 if parts.scheme == "https" else 8123),
            secure=parts.scheme == "https",
            username=config.user,
            password=config.password,
            database=config.database,
            compress=config.compression or False,
            send_receive_timeout=config.timeout_s,
            connect_timeout=5,
            autogenerate_session_id=False,
            connector_limit=64,
            connector_limit_per_host=64,
            settings=settings,
        )
    except Exception as error:  # the driver raises many kinds; all are classified
        raise _placed(classify(error), parts, config) from error


def _placed(error: StorageError, parts: SplitResult, config: ClickHouseConfig) -> StorageError:
    """Return the same error with the address in its message.

    The usual mistakes are ClickHouse's native port and a wrong password.
    """
    where = f"ClickHouse at {parts.scheme}://{parts.hostname}:{parts.port or ''}".rstrip(":")
    sentence = f"{where} (its HTTP interface, as user {config.user!r}, database {config.database!r}): {error}"
    if isinstance(error, StorageRefusedError):
        return StorageRefusedError(sentence, error.code)
    return StorageUnavailableError(sentence)


def classify(error: Exception) -> StorageError:
    """Return the driver's exception as StorageUnavailableError or StorageRefusedError.

    Raise the exception itself when it comes neither from the driver nor from the network.
    """
    if isinstance(error, StorageError):
        return error
    code = getattr(error, "code", None)
    if isinstance(error, ClickHouseError) and code and code not in _RETRY_CODES:
        return StorageRefusedError(_first_line(error), int(code))
    known = (ClickHouseError, DatabaseError, OperationalError, aiohttp.ClientError, OSError, TimeoutError)
    if isinstance(error, known):
        return StorageUnavailableError(_first_line(error) or type(error).__name__)
    raise error


class ArrowInserter:
    """An implementation of `runstream_ingestor.writer.flush.Inserter` over HTTP."""

    # Set explicitly: the engine's defaults have moved. An insert is one block, stored when it is answered.
    _SETTINGS = {"async_insert": 0, "max_insert_block_size": 4_194_304, "input_format_parallel_parsing": 0}

    def __init__(self, client: Any, tokens: bool = True) -> None:
        """Make an inserter. With `tokens` the engine recognises repeated inserts by their token."""
        self._client = client
        self._tokens = tokens

    async def __call__(self, table: str, columns: Sequence[str], data: bytes, token: str) -> None:
        """Insert an Arrow stream. Raise StorageUnavailableError or StorageRefusedError.

        StorageRefusedError means that the data are wrong; any other refusal is raised as StorageUnavailableError.
        """
        settings: dict[str, Any] = {**self._SETTINGS, "insert_deduplicate": 0}
        if token and self._tokens:
            settings |= {"insert_deduplicate": 1, "insert_deduplication_token": token}
        try:
            await self._client.raw_insert(
                table, column_names=list(columns), insert_block=data, fmt="ArrowStream", settings=settings
            )
        except Exception as error:
            found = classify(error)
            if isinstance(found, StorageRefusedError) and found.code not in _THE_DATA:
                found = StorageUnavailableError(str(found))
            raise found from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:500]
