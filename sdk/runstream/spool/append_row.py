"""The type of the function that appends a row to the spool."""

from collections.abc import Callable, Iterable

AppendRow = Callable[[tuple[str, ...], Iterable[object], int, int], None]
"""Append a row of these keys and values, at this step and time (microseconds since 1970)."""
