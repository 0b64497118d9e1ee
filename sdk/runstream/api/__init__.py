"""`runstream.Api()`: read and change what is stored on the server from a program."""

from runstream.api.client import Api
from runstream.api.comparing import Comparison, Group
from runstream.api.listing import StoredRuns
from runstream.api.projects import Project
from runstream.api.ranking import Importance, Objective, Parameter, ParetoRun
from runstream.api.runs import StoredRun
from runstream.api.series import StoredSeries
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

Run, Runs, Series = StoredRun, StoredRuns, StoredSeries
"""The same classes under the names that W&B's API has for them."""

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
    "RunMethods",
    "Series",
    "StoredRun",
    "StoredRuns",
    "StoredSeries",
    "TooExpensiveError",
    "UnavailableError",
]
