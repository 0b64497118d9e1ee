"""What `log()` makes of a value, by its type."""

from __future__ import annotations

import datetime
import math
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import runstream
from runstream.data.histogram import Histogram
from runstream.data.loggable import Text
from runstream.data.table import Table
from runstream.runs.values import sort_values, whole_number

FRAME = {"a": [1, 2], "b": ["x", "y"]}


@pytest.mark.parametrize("value", [3, 2.5, True, np.float16(1), [7.0], np.array([[2]]), pd.Series([1.5])])
def test_a_number_and_what_holds_one_is_a_point(value: Any) -> None:
    found = sort_values({"x": value})
    assert list(found.scalars) == ["x"] and not found.problems


def test_a_duration_is_its_seconds() -> None:
    assert sort_values({"x": datetime.timedelta(minutes=2)}).scalars == {"x": 120.0}


@pytest.mark.parametrize(
    "value",
    [
        [1, 2, 3],
        (1.5, np.float32(2)),
        [[1, 2], [3, 4]],
        np.arange(5),
        np.zeros((3, 4)),
        pd.Series([1.0, 2.0]),
        [True, False],
    ],
)
def test_several_numbers_are_a_histogram(value: Any) -> None:
    found = sort_values({"x": value}).rich["x"]
    assert isinstance(found, Histogram) and not found.problem
    assert sum(found.counts) == np.asarray(value).size


@pytest.mark.parametrize(
    "frame", [pd.DataFrame(FRAME), pl.DataFrame(FRAME), pa.table(FRAME)], ids=["pandas", "polars", "arrow"]
)
def test_a_frame_is_a_table(frame: Any) -> None:
    found = sort_values({"x": frame}).rich["x"]
    assert isinstance(found, Table) and (found.columns, found.data) == (["a", "b"], [[1, "x"], [2, "y"]])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC), "2026-01-02T03:00:00+00:00"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (np.datetime64("2026-01-02T03:00:00.5", "ns"), "2026-01-02T03:00:00.500000000"),
        (np.datetime64("NaT"), "NaT"),
        (pd.Timestamp("2026-01-02"), "2026-01-02T00:00:00"),
        (pd.NaT, "NaT"),
    ],
)
def test_a_date_is_a_text_and_no_number(value: Any, text: str) -> None:
    found = sort_values({"x": value})
    assert not found.scalars and isinstance(found.rich["x"], Text) and found.rich["x"].text == text


def test_a_list_of_media_is_a_gallery() -> None:
    images = [runstream.Image(np.zeros((2, 2), np.uint8)) for _ in range(3)]
    assert sort_values({"x": images}).rich["x"] == images


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (10**400, "beyond what a double holds"),
        ([], "log numbers, media, or a runstream.Table"),
        (["a", "b"], "log numbers, media, or a runstream.Table"),
        ([1, "b"], "log numbers, media, or a runstream.Table"),
        (None, "unsupported type NoneType"),
        (1 + 2j, "unsupported type complex"),
        (np.timedelta64("NaT"), "unsupported type"),
    ],
)
def test_what_is_left_out_is_said(value: Any, words: str) -> None:
    found = sort_values({"x": value, "kept": 1})
    assert list(found.scalars) == ["kept"] and not found.rich
    assert words in found.problems[0]


@pytest.mark.parametrize(
    "value", [np.array(["a", "b"]), np.array([1j, 2j]), np.array(["2026", "2027"], "datetime64[D]")]
)
def test_an_array_of_no_numbers_says_why(value: Any) -> None:
    (found,) = sort_values({"x": value}).rich.values()
    assert found.problem


class Hostile:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("no")


class HostileMapping(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("no")


def test_an_object_that_raises_is_left_out_and_its_siblings_are_kept() -> None:
    found = sort_values({"x": Hostile(), "y": HostileMapping(a=1), "kept": 1})
    assert list(found.scalars) == ["kept"]
    assert [problem.partition(":")[0] for problem in found.problems] == ["'x'", "'y'"]
    assert "a Hostile that raises RuntimeError when it is read" in found.problems[0]


@pytest.mark.parametrize(
    ("value", "number"),
    [(7, 7), (np.int64(7), 7), (7.0, 7), (np.float32(7.0), 7), (np.array([7.0]), 7), (np.float32(7.5), None)]
    + [("7", None), (math.nan, None), (math.inf, None), (None, None), (1e300, int(1e300))],
)
def test_a_step_is_a_whole_number_of_any_type(value: Any, number: int | None) -> None:
    assert whole_number(value) == number
