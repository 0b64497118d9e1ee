"""Convert the Native format for a client of a given protocol version.

The engine writes Native of version 0: blocks without a header. A server that is told `client_protocol_version` (as
clickhouse-go, and so Grafana, does over HTTP) writes an info before each block and a flag before each column. To insert
those, one must know where a column ends: this module walks over the columns' bytes, by their types.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from runstream_common.clickhouse.http_protocol import BadRequestError

WITH_CUSTOM_SERIALIZATION = 54454
"""From this protocol version on, a flag before a column's data says whether it is serialized in a special way."""
OUT_OF_ORDER_BUCKETS = 54480
"""From this version on, a block's info has one more field. This module never claims a version so high."""
_BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"  # is_overflows = 0, bucket_num = -1, end
_FIXED = {
    **dict.fromkeys(("Int8", "UInt8", "Bool", "Enum8", "Nothing"), 1),
    **dict.fromkeys(("Int16", "UInt16", "Enum16", "Date", "BFloat16"), 2),
    **dict.fromkeys(("Int32", "UInt32", "Float32", "Date32", "DateTime", "IPv4", "Decimal32", "Time"), 4),
    **dict.fromkeys(("Int64", "UInt64", "Float64", "DateTime64", "Decimal64", "Time64"), 8),
    **dict.fromkeys(("Int128", "UInt128", "UUID", "IPv6", "Decimal128"), 16),
    **dict.fromkeys(("Int256", "UInt256", "Decimal256"), 32),
}
_NAMED = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]*|`(?:[^`\\]|\\.)*`) +(?=[A-Z])")
_INDEX_BYTES = (1, 2, 4, 8)


def with_protocol_version(data: bytes, version: int) -> bytes:
    """Return blocks of version 0 as blocks of `version`. Raise BadRequestError for a type that is not supported."""
    if version <= 0:
        return data
    out: list[bytes] = []
    place = 0
    while place < len(data):
        place = _block(data, place, min(version, OUT_OF_ORDER_BUCKETS - 1), out)
    return b"".join(out)


def _block(data: bytes, place: int, version: int, out: list[bytes]) -> int:
    start = place
    columns, place = _varint(data, place)
    rows, place = _varint(data, place)
    out += [_BLOCK_INFO, data[start:place]]
    for _ in range(columns):
        start = place
        _, place = _text(data, place)
        kind, place = _text(data, place)
        out.append(data[start:place])
        if version >= WITH_CUSTOM_SERIALIZATION:
            out.append(b"\x00")
        if rows:
            start = place
            prefix, body = _walker(kind.decode())
            place = body(data, prefix(data, place), rows)
            out.append(data[start:place])
    return place


_Prefix = Callable[[bytes, int], int]
_Body = Callable[[bytes, int, int], int]


def _walker(kind: str) -> tuple[_Prefix, _Body]:
    """Return two functions: one skips a column's prefix, the other skips its data.

    They take (data, place) and (data, place, rows), and return the place behind.
    """
    name, arguments = _parts(kind)
    if name == "LowCardinality":
        return (lambda data, place: place + 8), _dictionary(arguments[0])
    if name in ("Array", "Map"):
        prefix, body = _walker(arguments[0]) if name == "Array" else _several(arguments)
        return prefix, _array(body)
    if name == "Nullable":
        prefix, body = _walker(arguments[0])
        return prefix, lambda data, place, rows: body(data, place + rows, rows)
    if name in ("Tuple", "Nested"):
        prefix, body = _several([_NAMED.sub("", one, count=1) if _NAMED.match(one) else one for one in arguments])
        return prefix, _array(body) if name == "Nested" else body
    if name == "SimpleAggregateFunction":
        return _walker(arguments[-1])
    if name == "String":
        return _nothing, _strings
    width = _width(name, arguments)
    return _nothing, lambda data, place, rows: place + width * rows


def _width(name: str, arguments: list[str]) -> int:
    if name == "FixedString":
        return int(arguments[0])
    if name == "Decimal":
        digits = int(arguments[0])
        return next(size for size, most in ((4, 9), (8, 18), (16, 38), (32, 76)) if digits <= most)
    if name.startswith("Interval"):
        return 8
    if name not in _FIXED:
        raise BadRequestError(
            f"a column of type {name[:60]} cannot be sent as Native to this client: convert it, as with toString()",
            48,
            "NOT_IMPLEMENTED",
            501,
        )
    return _FIXED[name]


def _several(kinds: list[str]) -> tuple[_Prefix, _Body]:
    walkers = [_walker(kind) for kind in kinds]

    def prefix(data: bytes, place: int) -> int:
        for skip, _ in walkers:
            place = skip(data, place)
        return place

    def body(data: bytes, place: int, rows: int) -> int:
        for _, skip in walkers:
            place = skip(data, place, rows)
        return place

    # An empty tuple has one byte for each row.
    return prefix, body if walkers else lambda data, place, rows: place + rows


def _array(body: _Body) -> _Body:
    def skip(data: bytes, place: int, rows: int) -> int:
        end = place + 8 * rows
        items = int.from_bytes(data[end - 8 : end], "little") if rows else 0
        return body(data, end, items) if items else end

    return skip


def _dictionary(kind: str) -> _Body:
    name, arguments = _parts(kind)
    _, body = _walker(arguments[0] if name == "Nullable" else kind)

    def skip(data: bytes, place: int, rows: int) -> int:
        if not rows:
            return place
        flags = int.from_bytes(data[place : place + 8], "little")
        keys = int.from_bytes(data[place + 8 : place + 16], "little")
        place = body(data, place + 16, keys) if keys else place + 16
        indexes = int.from_bytes(data[place : place + 8], "little")
        return place + 8 + indexes * _INDEX_BYTES[flags & 0xFF]

    return skip


def _strings(data: bytes, place: int, rows: int) -> int:
    for _ in range(rows):
        size = data[place]
        place += 1
        if size >= 0x80:
            size, place = _varint(data, place - 1)
        place += size
    return place


def _nothing(data: bytes, place: int) -> int:
    return place


def _parts(kind: str) -> tuple[str, list[str]]:
    """Split a type: `Map(String, Array(UInt8))` gives Map and [String, Array(UInt8)]."""
    name, bracket, rest = kind.partition("(")
    if not bracket:
        return name, []
    arguments: list[str] = []
    depth, start, quote, place = 0, 0, "", 0
    inner = rest[:-1]
    while place < len(inner):
        letter = inner[place]
        if quote:
            if letter == "\\":
                place += 1
            elif letter == quote:
                quote = ""
        elif letter in "'`":
            quote = letter
        elif letter in "()":
            depth += 1 if letter == "(" else -1
        elif letter == "," and depth == 0:
            arguments.append(inner[start:place].strip())
            start = place + 1
        place += 1
    return name, [*arguments, inner[start:].strip()] if inner.strip() else arguments


def _text(data: bytes, place: int) -> tuple[bytes, int]:
    size, place = _varint(data, place)
    return data[place : place + size], place + size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place += 1
        if byte < 0x80:
            return value, place
        shift += 7
