"""Parses the messages of requests, and checks the texts in them."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from runstream_query.base.errors import InvalidRequestError
from runstream_query.runs.editing.limits import MAX_DESCRIPTION_BYTES, MAX_NOTES_BYTES, MAX_REPORT_BYTES
from runstream_query.runs.selection.filters import MAX_FILTER_CHARACTERS

_Request = TypeVar("_Request", bound=Message)
MAX_TEXT = 4096
"""Characters of any text in a request: a metric's name has 1024 bytes at most, and a page token holds one."""
LONG_TEXTS = {
    "filter": MAX_FILTER_CHARACTERS,
    "page_token": 65_536,
    "sql": 64 << 10,
    "definition_json": 256 << 10,
    "content": MAX_REPORT_BYTES,
    "notes": MAX_NOTES_BYTES,
    "description": MAX_DESCRIPTION_BYTES,
}
"""Fields that may be longer.

A page token holds the sort values of the last row. The definition of a sweep with a thousand parameters of some values
each takes 100 KiB.
"""


def check_texts(request: Message) -> None:
    """Raise InvalidRequestError where a text of the request is too long or holds a NUL byte."""
    for field, value in request.ListFields():
        if field.cpp_type != field.CPPTYPE_STRING:
            continue
        for text in value if field.is_repeated else (value,):
            most = LONG_TEXTS.get(field.name, MAX_TEXT)
            if len(text) > most or "\0" in text:
                raise InvalidRequestError(f"{field.name}: a text of at most {most} characters without NUL")


def parse_request(kind: type[_Request], data: bytes) -> _Request:
    """Return the message that the bytes hold. Raises InvalidRequestError."""
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise InvalidRequestError(f"the request cannot be read: {error}") from error
