"""Hold one field of all runs of a project as arrays, from which filters, orders and groups are computed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from runstream_query.runs.selection import json_texts
from runstream_query.runs.selection.json_texts import BOOLEAN, LIST, MISSING, NAN, NUMBER, TEXT, json_text

__all__ = ["BOOLEAN", "LIST", "MISSING", "NAN", "NUMBER", "TEXT", "FieldColumn", "json_text"]
_NO_TEXTS = json_texts.array([""])
_ABSENT = ("", "null", '""', "[]")
_LIST_BYTES = 300


@dataclass(frozen=True)
class FieldColumn:
    """One value a run, for N runs: its JSON text where it has one, and its number where it has one.

    A metric has a number and no text; a text has no number. A number of a document has its text beside it only where
    the number does not say the same (`select_fields.sql`).
    """

    numbers: NDArray[np.float64]
    """(N,): the numbers; an element means nothing where `numeric` is false."""
    numeric: NDArray[np.bool_]
    """(N,): whether the run has a number; NaN counts as one."""
    codes: NDArray[np.int32] | None = None
    """(N,): places in `texts`; None means that no run has a text."""
    texts: pa.Array = field(default_factory=lambda: _NO_TEXTS)
    """JSON texts; '' stands for no text and comes first. The same text may occur twice."""

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def bytes(self) -> int:
        """About how many bytes of memory the column takes, with the cached properties that were computed of it."""
        return sum(map(_bytes, self.__dict__.values()))

    @cached_property
    def strings(self) -> pa.Array:
        """For each text that is a JSON string, its value; null for the others."""
        return json_texts.strings(self.texts)

    @cached_property
    def lists(self) -> dict[int, list[Any]]:
        """By code, the elements of each text that is a list.

        A list that is not valid JSON, such as one with NaN, has no elements.
        """
        return json_texts.lists(self.texts)

    @cached_property
    def kinds(self) -> NDArray[np.uint8]:
        """(N,): the class of each value."""
        found = (
            np.full(len(self), MISSING, np.uint8) if self.codes is None else json_texts.kinds(self.texts)[self.codes]
        )
        found[self.numeric] = NUMBER
        found[self.numeric & np.isnan(self.numbers)] = NAN
        return found

    @cached_property
    def sizes(self) -> NDArray[np.float64]:
        """(N,): the number to order by within a class; -0.0 becomes 0.0."""
        if not self.numeric.any():
            return missing(len(self)).numbers
        return np.where(self.numeric & ~np.isnan(self.numbers), self.numbers, 0.0) + 0.0

    @cached_property
    def names(self) -> tuple[NDArray[np.int32], pa.Array]:
        """The texts to order by within a class.

        (N,): for each run the place of its text among all these texts; and the texts, in order.
        """
        if self.codes is None:
            return _zeros(len(self), np.int32), _NO_TEXTS
        strings = json_texts.strings(self.texts)
        others = pc.if_else(pc.equal(self.texts, "null"), "", self.texts)
        places, ordered = json_texts.ranked(pc.if_else(pc.is_valid(strings), strings, others))
        found = places[self.codes]
        found[self.numeric] = 0  # where '' stands
        return found, ordered

    @property
    def without_empty(self) -> FieldColumn:
        """The same column, in which empty texts and lists count as missing."""
        return self._without_empty or self

    @cached_property
    def _without_empty(self) -> FieldColumn | None:
        """The column without empty values; None means that it has none.

        A column that held itself would stay in memory until the next garbage collection.
        """
        absent = json_texts.among(self.texts, _ABSENT)
        if self.codes is None or not absent[1:].any():
            return None
        shown = pc.if_else(pa.array(absent), "", self.texts)
        return FieldColumn(self.numbers, self.numeric, self.codes, shown)

    def holds(self, of_text: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return (N,): for each run the element of `of_text` at the run's text."""
        assert self.codes is not None
        return np.asarray(of_text, bool)[self.codes]

    @property
    def present(self) -> NDArray[np.bool_]:
        """(N,): whether the run has a number, or a text that is not ''."""
        if self.codes is None:
            return self.numeric
        return self.numeric | self.holds(~json_texts.among(self.texts, ("",)))

    def lengths_at(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return (M,): the bytes of the JSON texts of the runs at these places."""
        if self.codes is None:
            return np.zeros(len(places), np.int64)
        return self._lengths[self.codes[places]]

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        """By code, the bytes of each text."""
        return np.asarray(pc.binary_length(self.texts).to_numpy(zero_copy_only=False), np.int64)

    def texts_at(self, places: NDArray[np.int64], longest: int = 0) -> list[str]:
        """Return (M,): the JSON texts of the runs at these places, '' for a run without a text.

        `longest`: '' also for a text of more bytes; 0: no text is too long.
        """
        if self.codes is None:
            return [""] * len(places)
        codes = self.codes[places]
        if longest:
            codes = np.where(self.lengths_at(places) > longest, 0, codes)
        return self.texts.take(pa.array(codes)).to_pylist()  # type: ignore[no-any-return]

    def take(self, places: NDArray[np.int64]) -> FieldColumn:
        """Return the values of M other runs. `places` has the index of each in this column, or -1."""
        there, at = places >= 0, np.maximum(places, 0)
        if not len(self):
            return missing(len(places))
        codes = None if self.codes is None else np.where(there, self.codes[at], 0).astype(np.int32)
        return _column(np.where(there, self.numbers[at], 0.0), there & self.numeric[at], codes, self.texts)

    def replaced(self, where: NDArray[np.bool_], other: FieldColumn) -> FieldColumn:
        """Return the same column with the values of `other` where `where` is true."""
        if not where.any():
            return self
        numbers = np.where(where, other.numbers, self.numbers)
        numeric = np.where(where, other.numeric, self.numeric)
        if self.codes is None and other.codes is None:
            return _column(numbers, numeric, None, _NO_TEXTS)
        codes = np.zeros(len(numbers), np.int32) if self.codes is None else self.codes.copy()
        texts = self.texts
        if other.codes is None:
            codes[where] = 0
        else:  # Copy only the texts in use: mostly a few of a million runs are read again.
            used, places = np.unique(other.codes[where], return_inverse=True)
            codes[where] = places + len(texts)
            texts = pa.concat_arrays([texts, other.texts.take(pa.array(used))])
        if len(texts) > 2 * len(codes) + 1000:
            used = np.unique(np.append(codes, 0))
            codes = np.searchsorted(used, codes).astype(np.int32)
            texts = texts.take(pa.array(used))
        return _column(numbers, numeric, codes, texts)


def missing(count: int) -> FieldColumn:
    return FieldColumn(_zeros(count, np.float64), _zeros(count, np.bool_))


def of_numbers(numbers: Any) -> FieldColumn:
    """Return a column in which every run has a number."""
    return FieldColumn(np.asarray(numbers, np.float64), np.ones(len(numbers), bool))


def of_strings(strings: pa.Array) -> FieldColumn:
    """Return a column of JSON strings; equal strings share memory."""
    encoded = strings.dictionary_encode()
    return _coded(encoded.indices, json_texts.quoted(encoded.dictionary))


def of_texts(texts: pa.Array) -> FieldColumn:
    """Return a column of these JSON texts, without numbers."""
    encoded = texts.dictionary_encode()
    return _coded(encoded.indices, encoded.dictionary)


def of_codes(codes: NDArray[np.int32], texts: pa.Array) -> FieldColumn:
    """Return a column of these codes and texts, without numbers."""
    return FieldColumn(_zeros(len(codes), np.float64), _zeros(len(codes), np.bool_), codes, texts)


def scattered(count: int, places: NDArray[np.int64], numbers: pa.Array, texts: pa.Array | None) -> FieldColumn:
    """Return a column of `count` runs, some of which have a value.

    `places` has the index of each value's run; -1 means that the run is not among these.
    """
    known = places >= 0
    at = places[known]
    all_numbers, numeric = np.zeros(count), np.zeros(count, bool)
    all_numbers[at] = numbers.fill_null(0.0).to_numpy(zero_copy_only=False)[known]
    numeric[at] = numbers.is_valid().to_numpy(zero_copy_only=False)[known]
    if texts is None:
        return _column(all_numbers, numeric, None, _NO_TEXTS)
    encoded = texts.dictionary_encode()
    codes = np.zeros(count, np.int32)
    codes[at] = encoded.indices.to_numpy()[known] + 1
    return _column(all_numbers, numeric, codes, pa.concat_arrays([_NO_TEXTS, encoded.dictionary]))


def places_of(runs: pa.Array | pa.ChunkedArray, among: pa.Array) -> NDArray[np.int64]:
    """Return for each run its index in `among`; -1 for a run that is not there."""
    found = pc.index_in(runs, value_set=among)
    return found.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)  # type: ignore[no-any-return]


def _coded(indices: pa.Array, texts: pa.Array) -> FieldColumn:
    return of_codes(indices.to_numpy().astype(np.int32) + 1, pa.concat_arrays([_NO_TEXTS, texts]))


def _column(
    numbers: NDArray[np.float64], numeric: NDArray[np.bool_], codes: NDArray[np.int32] | None, texts: pa.Array
) -> FieldColumn:
    """Make a column; leave out the numbers where no run has one, and the codes where no run has a text."""
    if codes is not None and len(texts) == 1:
        codes = None
    if not numeric.any():
        return FieldColumn(_zeros(len(numbers), np.float64), _zeros(len(numbers), np.bool_), codes, texts)
    return FieldColumn(numbers, numeric, codes, texts)


def _zeros(count: int, kind: Any) -> Any:
    """Return (N,) zeros that take no memory; they must not be written to."""
    return np.broadcast_to(np.zeros(1, kind), count)


def _bytes(held: Any) -> int:
    if isinstance(held, np.ndarray):
        return held.nbytes if held.strides != (0,) else 0
    if isinstance(held, tuple):
        return sum(map(_bytes, held))
    if isinstance(held, dict):
        return _LIST_BYTES * len(held)
    return held.nbytes if isinstance(held, pa.Array) else held.bytes if isinstance(held, FieldColumn) else 0
