"""`runstream.Api()`: what is stored, from a program."""

from runstream.api.client import Api
from runstream.api.errors import (
    ApiError,
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
)
from runstream.api.projects import Project
from runstream.api.runs import Run, Series

__all__ = [
    "Api",
    "ApiError",
    "AuthenticationError",
    "InvalidRequestError",
    "NotFoundError",
    "PermissionDeniedError",
    "Project",
    "Run",
    "Series",
    "UnavailableError",
]
