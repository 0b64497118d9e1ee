"""Texts of runs as Arrow arrays mean what Python's json says of each."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from runstream_query.runs.field_names import parse_field
from runstream_query.runs.selection import json_texts
from runstream_query.runs.selection.conditions import meets
from runstream_query.runs.selection.field_column import FieldColumn, missing, of_strings, of_texts, scattered
from runstream_query.runs.selection.filters import parse_filter
from runstream_query.runs.selection.json_texts import BOOLEAN, LIST, MISSING, TEXT

PIECES = [
    "",
    "a",
    "Z",
    '"',
    "\\",
    "\n",
    "\x1f",
    "\x7f",
    "é",
    "\uffff",
    "\U0001f600",
    "null",
    "true",
    "[",
    "\u2028",
    " ",
]
ODD = [
    '"',
    '""',
    '"a"b"',
    '"\\u0041"',
    '"a\nb"',
    '"open',
    "null",
    "true",
    "[1, NaN]",
    "[]",
    '["a"]',
    "{}",
    "5",
    "",
    '"\\"',
]


def strings() -> list[str]:
    pick = random.Random(5)
    return ["".join(pick.choices(PIECES, k=pick.randrange(4))) for _ in range(300)]


def means(text: str) -> str | None:
    """Of a JSON string the string, '' of what only begins as one."""
    if not text.startswith('"'):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return ""
    return found if isinstance(found, str) else ""


def test_strings_are_written_and_read_as_json_has_them() -> None:
    written = [json.dumps(one, ensure_ascii=False) for one in strings()]
    assert json_texts.quoted(json_texts.array(strings())).to_pylist() == written
    texts = [*written, *ODD, *(json.dumps(one) for one in strings())]
    assert json_texts.strings(json_texts.array(texts)).to_pylist() == [means(text) for text in texts]


def test_classes_and_lists_of_texts() -> None:
    expected = [TEXT] * 6 + [MISSING, BOOLEAN] + [LIST] * 5 + [MISSING, TEXT]
    assert json_texts.kinds(json_texts.array(ODD)).tolist() == expected
    assert json_texts.lists(json_texts.array(ODD)) == {8: [], 9: [], 10: ["a"]}


def test_texts_are_ordered_as_python_orders_them() -> None:
    places, ordered = json_texts.ranked(json_texts.array(strings()))
    assert ordered.to_pylist() == sorted({"", *strings()})
    assert [ordered[int(place)].as_py() for place in places] == strings()


@pytest.mark.parametrize("sign", ["$gt", "$gte", "$lt", "$lte"])
@pytest.mark.parametrize("bound", ["a", "", "\uffff", "\U0001f600", "\ud800", "z\udfff"])
def test_comparisons_with_any_text_are_pythons(sign: str, bound: str) -> None:
    compare = {"$gt": str.__gt__, "$gte": str.__ge__, "$lt": str.__lt__, "$lte": str.__le__}[sign]
    column = of_strings(json_texts.array(strings()))
    condition = parse_filter(json.dumps({"config.k": {sign: bound}}))
    assert meets(condition, len(column), lambda _: column).tolist() == [compare(one, bound) for one in strings()]


def test_half_of_a_pair_equals_no_text() -> None:
    column = of_strings(json_texts.array(["a", "\ufffd"]))
    for operand, expected in (("\ud800", [False, False]), ("a", [True, False])):
        condition = parse_filter(json.dumps({"name": {"$in": [operand]}}))
        assert meets(condition, 2, lambda _: column).tolist() == expected


def test_values_that_are_put_in_and_taken_out_are_those_of_a_list() -> None:
    pick = random.Random(3)
    column, expected = missing(40), [""] * 40
    for _ in range(60):
        came = [pick.choice(["", *strings()[:20]]) for _ in range(40)]
        where = np.array([pick.random() < pick.choice([0.0, 0.1, 1.0]) for _ in range(40)])
        other = of_texts(json_texts.array([json.dumps(one) if one else "" for one in came]))
        column = column.replaced(where, other)
        expected = [json.dumps(new) if new and put else "" if put else old
                    for new, old, put in zip(came, expected, where, strict=True)]  # fmt: skip
        places = np.array([pick.randrange(-1, 40) for _ in range(40)])
        column, expected = column.take(places), [expected[at] if at >= 0 else "" for at in places]
        assert column.texts_at(np.arange(40)) == expected
        assert len(column.texts) < 2 * 40 + 1000 + 40


def test_a_text_of_each_runs_own_takes_little_more_than_its_letters() -> None:
    """As Python strings it took 75 bytes more."""
    count, values = 20_000, np.random.default_rng(1).random(20_000)
    texts = json_texts.array([json.dumps(f"shard-{value:.9f}") for value in values])
    letters = sum(map(len, texts.to_pylist())) / count
    none = json_texts.pa.nulls(count, json_texts.pa.float64())
    column = scattered(count, np.arange(count), none, texts)
    assert column.bytes / count < letters + 10
    assert column.kinds[0] == TEXT and column.names[1][int(column.names[0][7])].as_py() == f"shard-{values[7]:.9f}"
    assert column.bytes / count < 2 * letters + 30, "what is kept for orders counts as well"


def test_what_nobody_has_takes_nothing() -> None:
    assert missing(1_000_000).bytes < 100
    assert isinstance(missing(3).take(np.array([0, -1])), FieldColumn)
    assert parse_field("config.k").key == "k"
