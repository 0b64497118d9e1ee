"""Turns HTTP requests into messages: from the JSON of a POST, or from the URL parameters of a GET."""

from __future__ import annotations

import json

from google.protobuf import json_format
from google.protobuf.message import Message
from starlette.requests import Request

from runstream_query.base.errors import InvalidRequestError
from runstream_query.transport.request_bodies import MAX_BYTES, aside, read_body

_MAX_DEPTH = 16


async def read_into(message: Message, request: Request, **more: object) -> None:
    """Fill a message with the fields of a request, and with `more`.

    The caller must be authenticated first: a megabyte of JSON takes a second of a processor. Raises
    InvalidRequestError, SlowBodyError, ClientGoneError.
    """
    if request.method == "GET":
        fill(message, {**_parameters(request), **more})
        return
    body = await read_body(request.receive)
    await aside(len(body), lambda: fill(message, {**_parsed(body), **more}))


async def fields(request: Request, most: int = MAX_BYTES) -> dict[str, object]:
    """Return the fields of a JSON body of at most `most` bytes.

    Raises InvalidRequestError, SlowBodyError, ClientGoneError.
    """
    return _parsed(await read_body(request.receive, most))


def _parameters(request: Request) -> dict[str, object]:
    given: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        given.setdefault(name, []).append(value)
    return dict(given)


def _parsed(body: bytes) -> dict[str, object]:
    try:
        found = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"the body is no JSON: {error}") from error
    if not isinstance(found, dict) or _depth(found) > _MAX_DEPTH:
        raise InvalidRequestError(f"the body is no JSON object of at most {_MAX_DEPTH} levels")
    return found


def fill(message: Message, given: dict[str, object]) -> None:
    """Fill a message with the given fields. Raises InvalidRequestError, which names the field."""
    known = message.DESCRIPTOR.fields_by_name
    for name, value in list(given.items()):
        # Each value of a GET is a list; only repeated fields keep the list.
        if name in known and isinstance(value, list) and not known[name].is_repeated:
            is_bool = known[name].cpp_type == known[name].CPPTYPE_BOOL
            given[name] = _scalar(value[-1], is_bool) if value else None
    try:
        json_format.ParseDict(given, message, max_recursion_depth=_MAX_DEPTH)
    except Exception as error:  # a number beyond a double is an OverflowError, for example
        raise InvalidRequestError(f"the request does not fit: {error}; fields: {', '.join(known)}") from error


def _scalar(value: object, is_bool: bool) -> object:
    if is_bool and isinstance(value, str):
        return value.lower() in ("1", "true", "yes")
    return value


def _depth(value: object) -> int:
    """Return the levels of nesting; the count needs no recursion and stops just past the limit."""
    level, depth = [value], 0
    while level and depth <= _MAX_DEPTH:
        depth += 1
        level = [
            child
            for item in level
            if isinstance(item, (dict, list))
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    return depth
