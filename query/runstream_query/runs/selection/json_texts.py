"""Handle millions of JSON texts as Arrow arrays: their kinds of values, and the values of their strings.

A Python string takes 49 bytes beside its letters, and eight for the reference to it; in an Arrow array a text takes
four bytes beside its letters.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

NUMBER, TEXT, BOOLEAN, LIST, NAN, MISSING = range(6)
"""Classes of values, in their order."""
_BOOLEANS = pa.array(["true", "false"])
_NOTHING = pa.array(["", "null"])
_PLAIN = r'^"[^"\\\x00-\x1f]*"$'
"""JSON strings whose value is exactly what is between the quotes."""
_ESCAPED = r'["\\\x00-\x1f]'
"""The characters of a string that JSON writes in another way."""


def array(texts: Sequence[str | None]) -> pa.Array:
    return pa.array(texts, pa.string())


def mask(found: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
    """Return an Arrow array of booleans as (N,); null becomes False."""
    return np.asarray(found.fill_null(False).to_numpy(zero_copy_only=False), bool)


def among(texts: pa.Array, wanted: Iterable[str]) -> NDArray[np.bool_]:
    """Return (N,): which texts equal one of `wanted`. A text that is not valid Unicode equals none."""
    values = [one.encode("utf-8", "surrogatepass") for one in wanted]
    return mask(pc.is_in(texts.cast(pa.binary()), value_set=pa.array(values, pa.binary())))


def json_text(value: Any) -> str:
    """Return the value as JSON, in the form in which the writer stores it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def quoted(strings: pa.Array) -> pa.Array:
    """Return each string as a JSON string."""
    found = pc.binary_join_element_wise(pa.scalar('"'), strings, pa.scalar('"'), pa.scalar(""))
    odd = mask(pc.match_substring_regex(strings, _ESCAPED))
    return _put(found, odd, [json_text(one) for one in strings.filter(pa.array(odd)).to_pylist()])


def strings(texts: pa.Array) -> pa.Array:
    """Return for each JSON string its value; '' if the string is not valid; null for other texts."""
    plain = pc.match_substring_regex(texts, _PLAIN)
    found = pc.if_else(plain, pc.utf8_slice_codeunits(texts, 1, -1), pa.scalar(None, pa.string()))
    odd = mask(pc.starts_with(texts, '"')) & ~mask(plain)
    return _put(found, odd, [_string(text) for text in texts.filter(pa.array(odd)).to_pylist()])


def kinds(texts: pa.Array) -> NDArray[np.uint8]:
    """Return (N,): the class of each text. A number counts as LIST here: its class comes from the column of numbers."""
    found = np.full(len(texts), LIST, np.uint8)
    found[mask(pc.starts_with(texts, '"'))] = TEXT
    found[mask(pc.is_in(texts, value_set=_BOOLEANS))] = BOOLEAN
    found[mask(pc.is_in(texts, value_set=_NOTHING))] = MISSING
    return found


def lists(texts: pa.Array) -> dict[int, list[Any]]:
    """Return by place the elements of each list; a list that is not valid JSON has no elements."""
    places = np.flatnonzero(mask(pc.starts_with(texts, "[")))
    return dict(zip(places.tolist(), map(_elements, texts.take(pa.array(places)).to_pylist()), strict=True))


def ranked(texts: pa.Array) -> tuple[NDArray[np.int32], pa.Array]:
    """Return (N,): for each text its place among all different texts and '', in order; and those texts."""
    encoded = pa.concat_arrays([array([""]), texts]).dictionary_encode()
    order = pc.sort_indices(encoded.dictionary)
    rank = np.empty(len(order), np.int32)
    rank[order.to_numpy()] = np.arange(len(order), dtype=np.int32)
    return rank[encoded.indices.to_numpy()[1:]], encoded.dictionary.take(order)


def _put(texts: pa.Array, where: NDArray[np.bool_], others: Sequence[str]) -> pa.Array:
    return pc.replace_with_mask(texts, pa.array(where), array(others)) if others else texts


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
