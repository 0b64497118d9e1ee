"""What the SDK raises. `log()` and `finish()` raise none of these unless `Settings(strict=True)`."""

from __future__ import annotations


class RunstreamError(Exception):
    """Base of everything that the SDK raises on purpose."""


class UsageError(RunstreamError):
    """The call or its arguments are wrong; the message says what to change."""


class SettingsError(UsageError):
    """A setting or an environment variable has a value that cannot be used; the message names it."""


class SpoolError(RunstreamError):
    """The spool folder cannot be used: full disk, no right to write, owned by somebody else."""


class SpoolClosedError(SpoolError):
    """The stream has ended, or belongs to the process that forked this one: what was to be written is not."""


class RecordTooLargeError(SpoolError, UsageError):
    """A value is larger than a record may be: it is left out, and there is nothing wrong with the spool."""
