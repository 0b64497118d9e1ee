"""One field of all runs of a project, as arrays: what filters, orders and groups are computed from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

NUMBER, TEXT, BOOLEAN, LIST, NAN, MISSING = range(6)
"""Classes of values, in their order."""
_WORDS = frozenset({"true", "false"})
_NOTHING = frozenset({"", "null"})


@dataclass(frozen=True)
class Column:
    """A value a run, N runs. JSON text where there is one, and the number where there is one: a metric has a number and
    no text, a text has no number, `0.5` in a config has both."""

    numbers: NDArray[np.float64]
    """(N,): whatever where `numeric` is false."""
    numeric: NDArray[np.bool_]
    """(N,): whether there is a number, be it NaN."""
    codes: NDArray[np.int32] | None = None
    """(N,): places in `texts`; None: no run has a text."""
    texts: tuple[str, ...] = ("",)
    """JSON, '' for none. One may stand there twice."""

    @property
    def bytes(self) -> int:
        """About so much memory."""
        texts = sum(map(len, self.texts)) + 60 * len(self.texts)
        return self.numbers.nbytes + self.numeric.nbytes + (0 if self.codes is None else self.codes.nbytes + 2 * texts)

    @cached_property
    def words(self) -> tuple[str | None, ...]:
        """Of each text that is a JSON string, the string."""
        return tuple(_string(text) if text[:1] == '"' else None for text in self.texts)

    @cached_property
    def word_array(self) -> pa.Array:
        return pa.array(self.words, pa.string())

    @cached_property
    def lists(self) -> dict[int, list[Any]]:
        """Of each code whose text is a list, its elements; none where it is no JSON, as with NaN in it."""
        return {code: _elements(text) for code, text in enumerate(self.texts) if text[:1] == "["}

    @cached_property
    def kinds(self) -> NDArray[np.uint8]:
        """(N,): classes."""
        found = np.full(len(self.numbers), MISSING, np.uint8)
        if self.codes is not None:
            of_text = [_kind(text) for text in self.texts]
            found = np.array(of_text, np.uint8)[self.codes]
        return np.where(self.numeric, np.where(np.isnan(self.numbers), NAN, NUMBER), found).astype(np.uint8)

    @cached_property
    def sizes(self) -> NDArray[np.float64]:
        """(N,): the number to order by within a class; -0.0 is 0.0."""
        return np.where(self.numeric & ~np.isnan(self.numbers), self.numbers, 0.0) + 0.0

    @cached_property
    def names(self) -> tuple[NDArray[np.int64], list[str]]:
        """(N,): of the text to order by within a class its place among all such texts; and those, in order."""
        if self.codes is None:
            return np.zeros(len(self.numbers), np.int64), [""]
        shown = [
            word if word is not None else "" if text == "null" else text
            for word, text in zip(self.words, self.texts, strict=True)
        ]
        ordered = sorted({"", *shown})
        place = {name: index for index, name in enumerate(ordered)}
        places = np.array([place[name] for name in shown], np.int64)[self.codes]
        return np.where(self.numeric, place[""], places), ordered

    def holds(self, of_text: Sequence[bool] | NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(N,): what holds of each text, for the runs."""
        assert self.codes is not None
        return np.asarray(of_text, bool)[self.codes]

    @property
    def present(self) -> NDArray[np.bool_]:
        """(N,): whether the text is not ''."""
        if self.codes is None:
            return np.zeros(len(self.numbers), bool)
        return self.holds([text != "" for text in self.texts])

    def take(self, places: NDArray[np.int64]) -> Column:
        """(M,): of other runs: `places` are where they stand here, -1 for those that do not."""
        there, at = places >= 0, np.maximum(places, 0)
        if not len(self.numbers):
            return missing(len(places))
        codes = None if self.codes is None else np.where(there, self.codes[at], 0).astype(np.int32)
        return Column(np.where(there, self.numbers[at], 0.0), there & self.numeric[at], codes, self.texts)

    def replaced(self, where: NDArray[np.bool_], other: Column) -> Column:
        """The same with the other's values there."""
        numbers = np.where(where, other.numbers, self.numbers)
        numeric = np.where(where, other.numeric, self.numeric)
        if self.codes is None and other.codes is None:
            return Column(numbers, numeric)
        none = np.zeros(len(numbers), np.int32)
        own, their = self.codes if self.codes is not None else none, other.codes if other.codes is not None else none
        codes = np.where(where, their + len(self.texts), own).astype(np.int32)
        texts = (*self.texts, *other.texts)
        if len(texts) > 2 * len(codes) + 1000:
            used = sorted({0, *codes.tolist()})
            codes = np.searchsorted(used, codes).astype(np.int32)
            texts = tuple(texts[code] for code in used)
        return Column(numbers, numeric, codes, texts)


def missing(count: int) -> Column:
    return Column(np.zeros(count), np.zeros(count, bool))


def of_numbers(numbers: Any) -> Column:
    """All there."""
    return Column(np.asarray(numbers, np.float64), np.ones(len(numbers), bool))


def of_strings(strings: pa.Array, empty: bool = False) -> Column:
    """Each as a JSON string; with `empty`, '' is missing."""
    texts = [json_text(one) if one or not empty else "" for one in strings.to_pylist()]
    return of_texts(texts)


def of_texts(texts: Sequence[str]) -> Column:
    """Without numbers."""
    encoded = pa.array(texts, pa.string()).dictionary_encode()
    count = len(texts)
    return Column(
        np.zeros(count),
        np.zeros(count, bool),
        (encoded.indices.to_numpy().astype(np.int32) + 1),
        ("", *encoded.dictionary.to_pylist()),
    )


def scattered(count: int, places: NDArray[np.int64], numbers: pa.Array, texts: pa.Array | None) -> Column:
    """N runs, some of which have a value: `places` are where they stand, -1 for what is no run."""
    known = places >= 0
    at = places[known]
    all_numbers, numeric = np.zeros(count), np.zeros(count, bool)
    all_numbers[at] = numbers.fill_null(0.0).to_numpy(zero_copy_only=False)[known]
    numeric[at] = numbers.is_valid().to_numpy(zero_copy_only=False)[known]
    if texts is None:
        return Column(all_numbers, numeric)
    encoded = texts.dictionary_encode()
    codes = np.zeros(count, np.int32)
    codes[at] = encoded.indices.to_numpy()[known] + 1
    return Column(all_numbers, numeric, codes, ("", *encoded.dictionary.to_pylist()))


def places_of(runs: pa.Array, among: pa.Array) -> NDArray[np.int64]:
    """Where each stands; -1 for those that do not."""
    found = pc.index_in(runs, value_set=among)
    return found.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)  # type: ignore[no-any-return]


def json_text(value: Any) -> str:
    """As the writer stores it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _string(text: str) -> str:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    return found if isinstance(found, str) else ""


def _elements(text: str) -> list[Any]:
    try:
        found = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _kind(text: str) -> int:
    if text[:1] == '"':
        return TEXT
    return BOOLEAN if text in _WORDS else MISSING if text in _NOTHING else LIST
