"""Values as JSON that every reader takes."""

from __future__ import annotations

import json

from runstream.base import text
from runstream.base.notices import warn_once
from runstream.base.plain import to_plain


def dumps(value: object) -> str:
    """Return a value as JSON that every reader takes.

    Texts follow the rule of `runstream.base.text`; NaN and infinities become strings; there are at most
    `text.MAX_DEPTH` levels; values that JSON does not have become what `to_plain` makes of them.
    """
    try:
        found = _to_json(value)
        found.encode()  # raises UnicodeEncodeError, a ValueError, for a lone surrogate
        if not text.is_deep(value) and "\\u0000" not in found:
            return found
    except (ValueError, TypeError, RecursionError):
        pass
    plain = to_plain(value)
    if text.is_deep(plain):
        warn_once(f"a value is nested deeper than {text.MAX_DEPTH} levels: it is kept as JSON text from there on")
    return _to_json(text.plain(plain))


def _to_json(value: object) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=to_plain)
