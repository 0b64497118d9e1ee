"""The errors of a request to the server, one class for each way in which the caller can react."""

from __future__ import annotations

from typing import Any

from runstream.errors import RunstreamError


class ApiError(RunstreamError):
    """The server did not answer the request; the message says why and what to do."""


class AuthenticationError(ApiError):
    """The API key is missing or not valid."""


class NotFoundError(ApiError):
    """There is no such project, run or metric that this key may see; the message has the nearest names."""


class PermissionDeniedError(ApiError):
    """The API key is good, but it lacks the right."""


class InvalidRequestError(ApiError):
    """An argument cannot be used."""


class MissingExtraError(ApiError):
    """A package is not installed; the message names the extra that brings it."""


class TooExpensiveError(ApiError):
    """The server does not answer this request at once, or not now: request less, or try later."""


class IncompleteResultError(ApiError):
    """The result is larger than one answer can hold, and no part of it is returned.

    The message says how to get all of it.
    """


class UnavailableError(ApiError):
    """The server cannot be reached, or cannot answer now: try again."""


def translated(error: Any) -> ApiError:
    """Return the ApiError that fits a gRPC error."""
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
