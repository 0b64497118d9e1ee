"""What the control database refuses. Each message says what to do; none says more than its reader may know."""

from __future__ import annotations

from runstream_common.identity import InvalidNameError as _InvalidName


class ControlError(Exception):
    """Base."""


class AuthenticationError(ControlError):
    """No key, an unknown key, one revoked or expired: the same words for all."""

    def __init__(self) -> None:
        super().__init__(
            "the API key is missing or not valid: make one with `runstream key create`, then `runstream login`"
        )


class LinkError(AuthenticationError):
    """A one-time link that is unknown, used or expired: the same words for all."""

    def __init__(self) -> None:
        ControlError.__init__(
            self, "this link was used or has expired: get another with `runstream key link`, or log in with an API key"
        )


class PermissionDeniedError(ControlError):
    """The key is good, the right is missing."""


class RunExistsError(ControlError):
    """resume="never", and the run exists."""


class RunMissingError(ControlError):
    """resume="must", and the run does not exist."""


class RunDeletedError(ControlError):
    """The run was deleted: what this stream has of it is not wanted any more."""


class InvalidNameError(ControlError, _InvalidName):
    """A name that cannot be used."""


class NotFoundError(ControlError):
    """An administrative command named something that is not there."""


class StaleVersionError(ControlError):
    """Somebody else has changed it since it was read: nothing was written."""


class LimitReachedError(ControlError):
    """There are as many as there may be."""


class ControlUnavailableError(ControlError):
    """The control database cannot be reached, or its schema is not migrated."""
