"""What can be wrong with a question to the server, by what the caller does about it."""

from __future__ import annotations

from typing import Any

from runstream.errors import RunstreamError


class ApiError(RunstreamError):
    """The server did not answer the question; the message says why and what to do."""


class AuthenticationError(ApiError):
    """The API key is missing or not valid."""


class NotFoundError(ApiError):
    """No such project, run or metric that this key may see; the message has the nearest names."""


class PermissionDeniedError(ApiError):
    """The API key is good, the right is missing."""


class InvalidRequestError(ApiError):
    """An argument cannot be used."""


class MissingExtraError(ApiError):
    """A package is not installed; the message names the extra that brings it."""


class TooExpensiveError(ApiError):
    """The server does not answer this at once, or not now: ask for less, or later."""


class IncompleteResultError(ApiError):
    """There is more than one answer can hold: nothing is given rather than a part; the message says how to get all."""


class UnavailableError(ApiError):
    """The server cannot be reached, or cannot answer now: try again."""


def translated(error: Any) -> ApiError:
    """The kind that fits a gRPC error."""
    import grpc

    kinds = {
        grpc.StatusCode.UNAUTHENTICATED: AuthenticationError,
        grpc.StatusCode.PERMISSION_DENIED: PermissionDeniedError,
        grpc.StatusCode.NOT_FOUND: NotFoundError,
        grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
        grpc.StatusCode.RESOURCE_EXHAUSTED: TooExpensiveError,
        grpc.StatusCode.UNAVAILABLE: UnavailableError,
        grpc.StatusCode.DEADLINE_EXCEEDED: UnavailableError,
    }
    return kinds.get(error.code(), ApiError)(error.details() or error.code().name.lower())
