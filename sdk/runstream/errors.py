"""The exceptions of the SDK. `log()` and `finish()` raise none of them unless `Settings(strict=True)` is given.

`ApiError` and its subclasses are the errors of a request to the server, one class for each way to react.
"""

from __future__ import annotations


class RunstreamError(Exception):
    """Base class of all exceptions that the SDK raises on purpose."""


class UsageError(RunstreamError):
    """The call or its arguments are wrong; the message says what to change."""


class SettingsError(UsageError):
    """A setting or an environment variable has a value that cannot be used; the message names it."""


class SpoolError(RunstreamError):
    """The spool folder cannot be used: the disk is full, the right to write is missing, or somebody else owns it."""


class SpoolClosedError(SpoolError):
    """The stream has ended, or it belongs to the process that forked this one: the record is not written."""


class RecordTooLargeError(SpoolError, UsageError):
    """A value is larger than a record may be. The value is left out; the spool itself works."""


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
