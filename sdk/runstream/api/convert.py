"""Conversions between the server's messages and plain Python values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runstream.errors import InvalidRequestError

if TYPE_CHECKING:
    from google.protobuf.message import Message


def split_path(path: str, parts: int) -> list[str]:
    """Return the parts of a path; the team is empty where the path leaves it out. Raises InvalidRequestError."""
    found = path.split("/")
    if len(found) == parts - 1:
        found = ["", *found]
    if len(found) != parts or not all(found[1:]):
        form = "project or team/project" if parts == 2 else "project/run or team/project/run"
        raise InvalidRequestError(f"the path {path!r} cannot be read: give {form}")
    return found


def as_list(keys: Sequence[str] | str) -> list[str]:
    return [keys] if isinstance(keys, str) else list(keys)


SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def plain(struct: Message, whole_numbers: bool = True) -> dict[str, Any]:
    """Return a Struct as a dict.

    All numbers of a Struct are doubles: with `whole_numbers`, whole ones become int again.
    """
    from google.protobuf.json_format import MessageToDict

    def restore(value: object) -> object:
        if isinstance(value, float) and whole_numbers and value.is_integer():
            return int(value)
        if isinstance(value, str):
            return SPECIAL.get(value, value)
        if isinstance(value, list):
            return [restore(item) for item in value]
        if isinstance(value, dict):
            return {key: restore(item) for key, item in value.items()}
        return value

    return {key: restore(value) for key, value in MessageToDict(struct).items()}
