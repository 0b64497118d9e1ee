"""`runstream.Api()`: read and change what is stored on the server from a program."""

from runstream.api.client import Api
from runstream.api.comparing import Comparison, Group
from runstream.api.errors import (
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
from runstream.api.listing import Runs
from runstream.api.projects import Project
from runstream.api.ranking import Importance, Objective, Parameter, ParetoRun
from runstream.api.runs import Run, Series

__all__ = [
    "Api",
    "ApiError",
    "AuthenticationError",
    "Comparison",
    "Group",
    "Importance",
    "IncompleteResultError",
    "InvalidRequestError",
    "MissingExtraError",
    "NotFoundError",
    "Objective",
    "Parameter",
    "ParetoRun",
    "PermissionDeniedError",
    "Project",
    "Run",
    "Runs",
    "Series",
    "TooExpensiveError",
    "UnavailableError",
]
