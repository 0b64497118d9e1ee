"""Values as text of SQL, for the few places in which the engine's grammar takes no parameter."""

from __future__ import annotations


def string_literal(value: str) -> str:
    """Return a string literal. Where a setting has another type, the engine converts it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("\0", "") + "'"
