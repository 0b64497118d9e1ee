"""Report what is wrong with a sweep's definition, and where."""

from __future__ import annotations

from typing import NoReturn

from runstream_query.base.errors import InvalidRequestError


class DefinitionError(InvalidRequestError):
    """A definition is wrong: `path` names the place in it, such as `parameters.lr.min`; the message says what to do."""

    def __init__(self, path: str, words: str) -> None:
        # JSON may hold half a surrogate pair, which no message could be sent with.
        text = f"{path}: {words}" if path else words
        super().__init__(text.encode("utf-8", "backslashreplace").decode("utf-8"))
        self.path = path


def refuse(path: str, words: str) -> NoReturn:
    raise DefinitionError(path, words)
