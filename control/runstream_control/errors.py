"""The refusals of the control database. Each message says what to do; none says more than its reader may know."""

from __future__ import annotations

from runstream_common.errors import ReportedError
from runstream_common.identity import InvalidNameError as _InvalidName


class ControlError(ReportedError):
    """The base of all errors of the control database."""


class AuthenticationError(ControlError):
    """The key is missing, unknown, revoked or expired. The message is the same for all cases."""

    def __init__(self) -> None:
        super().__init__(
            "the API key is missing or not valid: make one with `runstream key create`, then `runstream login`"
        )


class LinkError(AuthenticationError):
    """The one-time link is unknown, used or expired. The message is the same for all cases."""

    def __init__(self) -> None:
        ControlError.__init__(
            self, "this link was used or has expired: get another with `runstream key link`, or log in with an API key"
        )


class PermissionDeniedError(ControlError):
    """The key is valid, but the right is missing."""


class RunExistsError(ControlError):
    """The caller gave resume="never", and the run exists."""


class RunMissingError(ControlError):
    """The caller gave resume="must", and the run does not exist."""


class RunDeletedError(ControlError):
    """The run was deleted: the rest of this stream is not stored."""


class RefusedNameError(ControlError, _InvalidName):
    """The name cannot be used."""


class NotFoundError(ControlError):
    """The caller named something that does not exist."""


class StaleVersionError(ControlError):
    """Somebody else has changed the object since it was read: nothing was written."""


class LimitReachedError(ControlError):
    """The limit on the number of such objects is reached."""


class ControlUnavailableError(ControlError):
    """The control database cannot be reached, or its schema is not migrated."""
