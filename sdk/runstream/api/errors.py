"""The errors of a request to the server, under the name of the package that raises most of them."""

from runstream.errors import (
    ApiError,
    AuthenticationError,
    IncompleteResultError,
    InvalidRequestError,
    MissingExtraError,
    NotFoundError,
    PermissionDeniedError,
    TooExpensiveError,
    UnavailableError,
)

__all__ = [
    "ApiError",
    "AuthenticationError",
    "IncompleteResultError",
    "InvalidRequestError",
    "MissingExtraError",
    "NotFoundError",
    "PermissionDeniedError",
    "TooExpensiveError",
    "UnavailableError",
]
