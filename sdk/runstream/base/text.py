r"""One rule for every text that leaves the process: characters that no server can store are replaced, visibly.

A text is never refused. A lone surrogate and NUL become the escapes that Python and shells use for them: the byte 0xFC
of a file name that is no UTF-8 becomes `\xfc`, the surrogate U+D800 `\ud800`, NUL `\x00`. Names that keys and paths are
made of lose control characters too, and are shortened. `runstream_common.text` applies the same rule to texts that
reach a server.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

MAX_DEPTH = 24
"""The most levels of nested lists and objects: a message of the query service needs three levels for each of them, and
has a hundred in all."""
MAX_NAME_BYTES = 1024
_ENDLESS = "..."
_INVALID = re.compile("[\x00\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_UNFIT_IN_PATHS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\\\\]")


def valid(text: str) -> str:
    """Return `text` with every lone surrogate and NUL as an escape."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _INVALID.sub(_escape, text)
    return text.replace("\0", "\\x00") if "\0" in text else text


def valid_name(text: str) -> str:
    """Return `text` as a metric's name: without control characters, at most MAX_NAME_BYTES of UTF-8.

    A longer text is cut and ends in a checksum of the whole, so that two different names stay different.
    """
    return shortened(_CONTROL.sub(_escape, text), MAX_NAME_BYTES)


def companion_name(name: str, suffix: str) -> str:
    """Return the name of a metric that is written beside the metric `name`.

    It ends in `suffix`, even where `name` is cut.
    """
    return shortened(name, MAX_NAME_BYTES - len(suffix)) + suffix


def valid_path(path: str) -> str:
    """Return a relative path with slashes as the name of a run's file.

    Bytes that a name cannot hold become `%FC`, since a backslash separates folders on other systems.
    """
    return shortened(_UNFIT_IN_PATHS.sub(_percent, path), MAX_NAME_BYTES)


def shortened(text: str, max_bytes: int) -> str:
    """Return `text` if it takes at most `max_bytes` of UTF-8, else its beginning, an ellipsis and a checksum."""
    if len(text) * 4 <= max_bytes:
        return text
    data = text.encode("utf-8", "backslashreplace")
    if len(data) <= max_bytes:
        return text
    import zlib

    mark = f"\u2026{zlib.crc32(data):08x}"
    return data[: max_bytes - len(mark.encode())].decode("utf-8", "ignore") + mark


def plain(value: object, depth: int = 0) -> Any:
    """Return a JSON value in a form that every server takes.

    Texts are valid, numbers that are not finite become their names, and values below MAX_DEPTH levels become their JSON
    text. Other objects are returned as they are.
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


def is_deep(value: object, levels: int = MAX_DEPTH) -> bool:
    """Return True when lists and objects are nested deeper than `levels`. An empty one is no level."""
    if not isinstance(value, (dict, list, tuple)) or not value:
        return False
    if not levels:
        return True
    items = value.values() if isinstance(value, dict) else value
    return any(is_deep(item, levels - 1) for item in items if isinstance(item, (dict, list, tuple)))


def _digits(value: int) -> str:
    """Return a whole number that is too large for a double as text."""
    try:
        return str(value)
    except ValueError:  # it has more digits than Python writes: sys.set_int_max_str_digits
        return hex(value)


def _as_text(value: object) -> str:
    try:
        return valid(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str))
    except (ValueError, TypeError, RecursionError):
        return _ENDLESS  # the value is circular, or almost endless


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00  # a byte that could not be decoded (PEP 383)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def _percent(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:
        return f"%{code - 0xDC00:02X}"
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))
