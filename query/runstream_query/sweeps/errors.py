"""Report errors in a sweep's definition, each with its path in the definition."""

from __future__ import annotations

from typing import NoReturn

from runstream_query.base.errors import InvalidRequestError


class DefinitionError(InvalidRequestError):
    """A definition is invalid: `path` names the key, such as `parameters.lr.min`; the message says how to fix it."""

    def __init__(self, path: str, message: str) -> None:
        # JSON may hold half of a surrogate pair, which UTF-8 cannot encode.
        text = f"{path}: {message}" if path else message
        super().__init__(text.encode("utf-8", "backslashreplace").decode("utf-8"))
        self.path = path


def refuse(path: str, message: str) -> NoReturn:
    raise DefinitionError(path, message)
