"""The exceptions of the SDK. `log()` and `finish()` raise none of them unless `Settings(strict=True)` is given."""

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
