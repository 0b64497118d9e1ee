"""`runstream.Api()`: what is stored, from a program."""

from runstream.api.client import Api
from runstream.api.errors import (
    ApiError,
    AuthenticationError,
    InvalidRequestError,
    MissingExtraError,
    NotFoundError,
    PermissionDeniedError,
    TooExpensiveError,
    UnavailableError,
)
from runstream.api.listing import Runs
from runstream.api.projects import Project
from runstream.api.runs import Run, Series

__all__ = [
    "Api",
    "ApiError",
    "AuthenticationError",
    "InvalidRequestError",
    "MissingExtraError",
    "NotFoundError",
    "PermissionDeniedError",
    "Project",
    "Run",
    "Runs",
    "Series",
    "TooExpensiveError",
    "UnavailableError",
]
