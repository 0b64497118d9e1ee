"""Finds the patterns of `define_metric` that match a metric, among very many."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

_MARK = re.compile(r"[*?\[]")
_END = re.compile(r"[*?\[\]]")


class NamePatterns:
    """The names among some that are patterns, with * ? [...], in the same order."""

    def __init__(self, names: Iterable[str]) -> None:
        self._patterns = [
            (name[: mark.start()], _literal_end(name), name) for name in names if (mark := _MARK.search(name))
        ]

    def matching(self, text: str) -> Iterator[str]:
        """Yield the patterns that match the text.

        `fnmatch` compiles a pattern for each comparison when there are many, so that most are ruled out by their ends.
        """
        for start, end, name in self._patterns:
            if text.startswith(start) and text.endswith(end) and fnmatchcase(text, name):
                yield name


def _literal_end(pattern: str) -> str:
    return _END.split(pattern)[-1]
