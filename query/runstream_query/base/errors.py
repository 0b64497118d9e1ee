"""Defines the errors that can end a request, and one table from domain error to gRPC status and HTTP code."""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from runstream_common.clickhouse.client import DAMAGE_CODES, StorageRefusedError, StorageUnavailableError
from runstream_common.clickhouse.http_protocol import BadRequestError
from runstream_common.objects import MediaMissingError
from runstream_control.errors import (
    AuthenticationError,
    ControlUnavailableError,
    LimitReachedError,
    NotFoundError,
    PermissionDeniedError,
    StaleVersionError,
)
from runstream_query.base.damage import damage_message


class QueryError(Exception):
    """Base class of errors that a request can end in; the message tells the caller what to do."""


class InvalidRequestError(QueryError):
    """A field of the request cannot be used."""


class SqlError(InvalidRequestError):
    """The engine does not accept this SQL. `code`: ClickHouse's number of the error."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class UnknownNameError(QueryError):
    """There is no project, run or metric of this name that the caller may see."""


class TooExpensiveError(QueryError):
    """The answer would take more time or memory than one request may. `code`: ClickHouse's number of the error."""

    def __init__(self, message: str, code: int = 241) -> None:
        super().__init__(message)
        self.code = code


class NoPlaceError(TooExpensiveError):
    """Too many requests are under way: of this user, of the user's team, or of the whole server."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 202)
        self.retry_after_s = 5


class ConflictError(QueryError):
    """The state of the object does not allow the change that was requested."""


class ClientGoneError(QueryError):
    """The client went away, so nobody waits for the answer any more."""

    def __init__(self) -> None:
        super().__init__("the client went away")


class SlowBodyError(QueryError):
    """The body of a request did not arrive in time."""

    def __init__(self, within_s: float) -> None:
        super().__init__(f"the body of the request did not come within {within_s:g} s")


class SlowReaderError(QueryError):
    """The client reads nothing of the answer."""

    def __init__(self, within_s: float) -> None:
        super().__init__(f"nothing of the answer was taken for {within_s:g} s: ask again, and read as it comes")


class TooManyWatchersError(QueryError):
    """No more streams may be open at once."""


class GoingAwayError(QueryError):
    """The server is shutting down; the client should connect again, to another instance or to the next one."""

    def __init__(self) -> None:
        super().__init__("the server is about to end: connect again")


class ForeignRequestError(QueryError):
    """A session was used by something that is not the page."""

    def __init__(self) -> None:
        super().__init__("a session is for the page of this server only: programs show an API key")


class TooManyAttemptsError(QueryError):
    """One address tried to log in too often."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many attempts to log in: try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Status:
    grpc: grpc.StatusCode
    http: int


_TABLE: tuple[tuple[type[Exception], Status], ...] = (
    (AuthenticationError, Status(grpc.StatusCode.UNAUTHENTICATED, 401)),
    (PermissionDeniedError, Status(grpc.StatusCode.PERMISSION_DENIED, 403)),
    (ForeignRequestError, Status(grpc.StatusCode.PERMISSION_DENIED, 403)),
    (TooManyAttemptsError, Status(grpc.StatusCode.RESOURCE_EXHAUSTED, 429)),
    (InvalidRequestError, Status(grpc.StatusCode.INVALID_ARGUMENT, 400)),
    (BadRequestError, Status(grpc.StatusCode.INVALID_ARGUMENT, 400)),
    (SlowBodyError, Status(grpc.StatusCode.DEADLINE_EXCEEDED, 408)),
    (SlowReaderError, Status(grpc.StatusCode.DEADLINE_EXCEEDED, 408)),
    (ClientGoneError, Status(grpc.StatusCode.CANCELLED, 499)),
    (UnknownNameError, Status(grpc.StatusCode.NOT_FOUND, 404)),
    (ConflictError, Status(grpc.StatusCode.FAILED_PRECONDITION, 409)),
    (StaleVersionError, Status(grpc.StatusCode.FAILED_PRECONDITION, 409)),
    (LimitReachedError, Status(grpc.StatusCode.FAILED_PRECONDITION, 409)),
    (NotFoundError, Status(grpc.StatusCode.NOT_FOUND, 404)),
    (MediaMissingError, Status(grpc.StatusCode.NOT_FOUND, 404)),
    (TooExpensiveError, Status(grpc.StatusCode.RESOURCE_EXHAUSTED, 429)),
    (TooManyWatchersError, Status(grpc.StatusCode.RESOURCE_EXHAUSTED, 429)),
    (GoingAwayError, Status(grpc.StatusCode.UNAVAILABLE, 503)),
    (StorageUnavailableError, Status(grpc.StatusCode.UNAVAILABLE, 503)),
    (ControlUnavailableError, Status(grpc.StatusCode.UNAVAILABLE, 503)),
)
INTERNAL = Status(grpc.StatusCode.INTERNAL, 500)
EXPENSIVE_CODES = frozenset({159, 160, 241, 396, 307, 158})
"""ClickHouse's error codes for limits on time, memory, rows and bytes."""


def status_of(error: Exception) -> tuple[Status, str]:
    """Return the status and the message for the caller; an error that is not in the table tells no internals."""
    if isinstance(error, StorageRefusedError) and error.code in EXPENSIVE_CODES:
        error = TooExpensiveError("the answer takes more time or memory than allowed: ask for less at once")
    if isinstance(error, StorageRefusedError) and error.code in DAMAGE_CODES:
        return Status(grpc.StatusCode.DATA_LOSS, 500), damage_message(error)
    for kind, status in _TABLE:
        if isinstance(error, kind):
            if isinstance(error, StorageUnavailableError):
                return status, "ClickHouse cannot be reached now: try again in a moment"
            return status, str(error)
    return INTERNAL, "something went wrong on the server; its log says what"
