"""Makes and reads page tokens: a token says where the next page begins, and is bound to its request."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

from google.protobuf.message import Message

from runstream_query.base.errors import InvalidRequestError


def fingerprint(request: Message) -> str:
    """Return a hash that is the same for all pages of one request."""
    copy = type(request)()
    copy.CopyFrom(request)
    for field in ("page_token", "page_size"):
        copy.ClearField(field)
    return hashlib.sha256(copy.SerializeToString(deterministic=True)).hexdigest()[:16]


class PagedRequest(Protocol):
    """A message with a page token."""

    page_token: str


def make_token(request: Message, place: Sequence[object]) -> str:
    return base64.urlsafe_b64encode(json.dumps([fingerprint(request), list(place)]).encode()).decode()


def read_token(request: PagedRequest, kinds: tuple[type, ...] | Callable[[Any], bool]) -> list[Any] | None:
    """Return the place where the page begins, or None for the first page.

    `kinds`: the types of the place's parts, or a function that tells whether a value is a place. Raises
    InvalidRequestError for a token that is not from this request.
    """
    if not request.page_token:
        return None
    try:
        mark, place = json.loads(base64.urlsafe_b64decode(request.page_token.encode("ascii")))
        fits = tuple(type(part) for part in place) == kinds if isinstance(kinds, tuple) else kinds(place)
        if mark != fingerprint(cast("Message", request)) or not fits:
            raise ValueError
    except (ValueError, TypeError, RecursionError, binascii.Error, UnicodeEncodeError) as error:
        raise InvalidRequestError("page_token is not from this question: ask for the first page without one") from error
    return list(place)


def page_size(given: int, default: int, most: int, name: str = "page_size") -> int:
    """Return the number of rows of a page; 0 means the default. Raises InvalidRequestError, which names the field."""
    if given > most:
        raise InvalidRequestError(f"{name} is {given}: at most {most}")
    return given or default
