r"""The rule for texts and JSON values that go through the servers.

It is the same rule as the SDK's `runstream.base.text`, for data that other clients send or earlier versions stored.
A test compares the two.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

MAX_DEPTH = 24
"""The deepest nesting of lists and objects.

A message of the query service takes three levels for each, and a hundred in all.
"""
_ENDLESS = "..."
_INVALID = re.compile("[\x00\ud800-\udfff]")
_SUSPICIOUS = re.compile(r"\\u(?:[dD][89abAB]|[dD][c-fC-F]|0000)")
"""A surrogate or NUL in JSON text. Half of the surrogates belong to a pair, so a match only means a closer look."""


def valid(text: str) -> str:
    """Return `text` with every lone surrogate and NUL as an escape."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _INVALID.sub(_escape, text)
    return text.replace("\0", "\\x00") if "\0" in text else text


def parsed(text: str) -> Any:
    """Return the value of JSON text, adapted to the rule.

    A text that is no JSON, or too deep to be read, is returned itself.
    """
    try:
        return plain(json.loads(text))
    except (ValueError, RecursionError):
        return valid(text)


def valid_json(text: str) -> str:
    """Return JSON text whose texts are valid. A text that is no JSON is returned as it is: it stays unreadable."""
    if not _SUSPICIOUS.search(text):
        return text
    try:
        return json.dumps(plain(json.loads(text)), ensure_ascii=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        return text


def plain(value: Any, depth: int = 0) -> Any:
    """Return a JSON value in a form that every server accepts.

    Its texts are valid, numbers that are not finite are replaced by their names, and values nested deeper than
    MAX_DEPTH by their JSON text. Other objects are returned as they are.
    """
    if isinstance(value, str):
        return valid(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, int) and value.bit_length() > 1023:
        return _digits(value)
    if isinstance(value, (dict, list, tuple)) and depth >= MAX_DEPTH:
        return _as_text(value) if value else value
    if isinstance(value, dict):
        return {valid(str(key)): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, depth + 1) for item in value]
    return value


def _digits(value: int) -> str:
    """Return an integer beyond the range of doubles as text."""
    try:
        return str(value)
    except ValueError:  # it has more digits than Python writes (sys.set_int_max_str_digits)
        return hex(value)


def _as_text(value: Any) -> str:
    try:
        return valid(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str))
    except (ValueError, TypeError, RecursionError):
        return _ENDLESS  # the value is circular, or nested too deep


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00  # a byte that could not be decoded (PEP 383)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
