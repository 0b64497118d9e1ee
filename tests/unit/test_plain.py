"""Objects of a config or summary as plain nested values."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
from types import SimpleNamespace
from typing import Any

import attrs
import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from runstream.base.plain import CUT, MAX_ELEMENTS, flattened, nested, to_plain, without


@dataclasses.dataclass
class Optimizer:
    lr: float = 0.1
    betas: tuple[float, float] = (0.9, 0.99)


@dataclasses.dataclass
class Training:
    optimizer: Optimizer = dataclasses.field(default_factory=Optimizer)
    data: pathlib.Path = pathlib.Path("/data/x")


@attrs.define
class Layer:
    width: int = 3
    below: Any = None


class Head(pydantic.BaseModel):
    classes: int = 10


class Model(pydantic.BaseModel):
    head: Head = Head()


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Mode(enum.StrEnum):
    FAST = "fast"


def hydra() -> Any:
    return OmegaConf.create(
        {"lr": 0.1, "same": "${.lr}", "later": "???", "lost": "${nowhere.x}", "list": [1, {"z": 2}]}
    )


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Training(), {"optimizer": {"lr": 0.1, "betas": [0.9, 0.99]}, "data": "/data/x"}),
        (Layer(below=Layer()), {"width": 3, "below": {"width": 3, "below": None}}),
        (Model(), {"head": {"classes": 10}}),
        (hydra(), {"lr": 0.1, "same": 0.1, "later": "???", "lost": "${nowhere.x}", "list": [1, {"z": 2}]}),
        ({"inner": hydra()["list"]}, {"inner": [1, {"z": 2}]}),
        (argparse.Namespace(a=1, b=argparse.Namespace(c=2)), {"a": 1, "b": {"c": 2}}),
        (SimpleNamespace(a=Color.RED), {"a": "RED"}),
        ([Color.RED, Level.HIGH, Mode.FAST], ["RED", 3, "fast"]),
        (datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC), "2026-01-02T03:04:05+00:00"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (np.arange(6).reshape(2, 3), [[0, 1, 2], [3, 4, 5]]),
        (np.float32(0.5), 0.5),
        (np.array([True]), True),
        (np.datetime64("NaT"), "NaT"),
        (np.zeros(MAX_ELEMENTS + 1, np.int8), f"ndarray of shape ({MAX_ELEMENTS + 1},), int8"),
        ({3, 1, 2}, [1, 2, 3]),
        (decimal.Decimal("1.5"), 1.5),
        ({1: "a", (2, 3): "b", None: "c", Color.RED: "d"}, {"1": "a", "(2, 3)": "b", "null": "c", "RED": "d"}),
        ([float("nan"), float("-inf")], ["NaN", "-Infinity"]),
        (10**400, str(10**400)),
        (10**5000, "an integer of 16610 bits"),
        (json.dumps, "json.dumps"),
        (Optimizer, f"{__name__}.Optimizer"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_people_configure_with_becomes_plain(value: object, plain: object) -> None:
    assert to_plain(value) == plain
    assert json.loads(json.dumps(to_plain(value), allow_nan=False)) == plain


def test_what_holds_itself_is_cut() -> None:
    circular: dict[str, Any] = {"lr": 0.1}
    circular["self"] = circular
    shared = [1]
    assert to_plain({"a": circular, "b": [shared, shared]}) == {"a": {"lr": 0.1, "self": CUT}, "b": [[1], [1]]}


class Endless:
    def to_dict(self) -> dict[str, Any]:
        return {"next": Endless()}


def test_an_object_that_makes_others_without_end_is_cut() -> None:
    assert CUT in json.dumps(to_plain(Endless()))


class Hostile:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("no")

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class HostileMapping(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("no")

    __str__ = __repr__ = lambda self: 1 / 0  # type: ignore[assignment]


def test_an_object_that_raises_becomes_the_name_of_its_type() -> None:
    for value in (Hostile(), HostileMapping(a=1), {"inside": Hostile()}):
        assert "Hostile" in json.dumps(to_plain(value))


plain_documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("xyz"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", min_size=1), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text("ab", min_size=1), plain_documents, max_size=4))
def test_plain_documents_stay_as_they_are_and_dotted_keys_lead_back(document: dict[str, Any]) -> None:
    assert to_plain(document) == document
    assert nested(flattened(document)) == document
    assert without(document, lambda key: False) == document


def test_a_key_below_a_value_stays_dotted() -> None:
    assert nested({"a": 1, "a.b": 2, "c..d": 3}) == {"a": 1, "a.b": 2, "c..d": 3}


def test_leaves_are_left_out_with_the_dicts_that_they_empty() -> None:
    assert without({"a": {"b": 1}, "c": {"d": 2, "e": 3}}, {"a.b", "c.d"}.__contains__) == {"c": {"e": 3}}
