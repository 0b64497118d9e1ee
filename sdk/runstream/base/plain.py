"""The values of a config, a summary or a cell as plain nested values: dicts, lists, texts, numbers, None.

Objects of other libraries are recognized by the names and marks of their types, so that none of these libraries is
imported. No object makes this raise: an object that cannot be read becomes a text that names its type.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import math
import os
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

MAX_DEPTH = 64
"""The most levels, for objects that make objects without end. (`runstream.base.text` makes JSON text of deep values
earlier.)"""
MAX_ELEMENTS = 100_000
"""The most elements of an array that becomes a list; a larger one is named by its type and shape."""
CUT = "..."
_MAX_INT_BITS = 1023
"""The most bits of an integer that stays a number: a reader that computes with doubles cannot read larger ones."""


Above = tuple[int, ...]
"""Identities of the objects that a value is in: an object that holds itself is cut there."""


def to_plain(value: object, above: Above = ()) -> Any:
    """Return `value` in a form that JSON has, with NaN and infinities as "NaN", "Infinity" and "-Infinity".

    Dataclasses, attrs and pydantic classes, OmegaConf's nodes (resolved; missing values stay "???"), namespaces and
    mappings become dicts whose keys are texts. Enums become their names; those that are texts or numbers become their
    values. Paths become texts, dates ISO 8601, sets sorted lists, arrays lists. Never raises.
    """
    try:
        return _convert(value, above)
    except RecursionError:
        return CUT
    except Exception:  # noqa: BLE001  # a foreign object may raise anything when it is read
        return _as_text(value)


def _convert(value: object, above: Above) -> object:
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return _integer(int(value))
    if isinstance(value, float):
        return _double(float(value))
    if len(above) > MAX_DEPTH or id(value) in above:
        return CUT
    above = (*above, id(value))
    if isinstance(value, enum.Enum):
        return value.name
    if _module(value).startswith("omegaconf"):
        return _omegaconf(value, above)
    if isinstance(value, Mapping):
        return {key_text(key): to_plain(item, above) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item, above) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((to_plain(item, above) for item in value), key=str)
    fields = fields_of(value)
    if fields is not None:
        return {key_text(key): to_plain(item, above) for key, item in fields.items()}
    return _leaf(value, above)


def fields_of(value: object) -> Mapping[Any, Any] | None:
    """Return the named fields of an object whose class declares them, or None for another object.

    May raise what the object raises.
    """
    kind = type(value)
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    if hasattr(kind, "__attrs_attrs__"):
        return {one.name: getattr(value, one.name, None) for one in kind.__attrs_attrs__}
    for declared in ("model_fields", "__fields__"):  # the names of pydantic 2 and 1
        if isinstance(getattr(kind, declared, None), Mapping):
            return {name: getattr(value, name, None) for name in getattr(kind, declared)}
    if isinstance(value, SimpleNamespace) or (kind.__name__, kind.__module__) == ("Namespace", "argparse"):
        return vars(value)
    if getattr(value, "shape", None) is None and callable(getattr(kind, "to_dict", None)):  # no frame of data
        found = value.to_dict()  # type: ignore[attr-defined]
        return found if isinstance(found, Mapping) else None
    return None


def _omegaconf(node: object, above: Above) -> object:
    """Return a config or node of OmegaConf with its interpolations resolved; those that fail are kept as written."""
    OmegaConf = sys.modules["omegaconf"].OmegaConf  # it is loaded, since the object is of it
    if not OmegaConf.is_config(node):
        return to_plain(getattr(node, "_value", lambda: str(node))(), above)
    raw = OmegaConf.to_container(node, resolve=False)
    if isinstance(raw, dict):
        return {key_text(key): _resolved(node, key, raw[key], above) for key in raw}
    if isinstance(raw, list):
        return [_resolved(node, place, item, above) for place, item in enumerate(raw)]
    return to_plain(raw, above)


def _resolved(node: Any, key: object, raw: object, above: Above) -> object:
    try:
        found = node[key]
    except Exception:  # noqa: BLE001  # it is missing or dangling, or a resolver of the user's raises
        return to_plain(raw, above)
    return to_plain(found, above)


def _leaf(value: Any, above: Above) -> object:
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return _double(float(value)) if value.is_finite() else str(value)
    if isinstance(value, (type, FunctionType, BuiltinFunctionType, MethodType)):
        return f"{value.__module__}.{value.__qualname__}"  # its str() holds an address that is new in each process
    if isinstance(value, ModuleType):
        return value.__name__
    size, kind = _size(value), str(getattr(value, "dtype", ""))
    if size is not None and callable(getattr(value, "tolist", None)):
        if kind.startswith(("datetime64", "timedelta64")):
            return str(value) if size == 1 else [str(item) for item in value]
        if size == 1 and callable(getattr(value, "item", None)):
            return to_plain(value.item(), above)
        if size <= MAX_ELEMENTS:
            return to_plain(value.tolist(), above)
        return f"{type(value).__name__} of shape {tuple(value.shape)}, {kind}"
    return _as_text(value)


def _size(value: object) -> int | None:
    """Return the number of elements of an array or tensor, or None for another value."""
    for name in ("numel", "size"):
        found = getattr(value, name, None)
        found = found() if callable(found) and name == "numel" else found
        if isinstance(found, int):
            return found
    return None


def key_text(key: object) -> str:
    """Return the key of a mapping as JSON has it."""
    if isinstance(key, str):
        return key
    if isinstance(key, enum.Enum):
        return key.name
    if isinstance(key, bool) or key is None:
        return {True: "true", False: "false", None: "null"}[key]
    return _as_text(key)


def _integer(value: int) -> int | str:
    if value.bit_length() <= _MAX_INT_BITS:
        return value
    try:
        return str(value)
    except ValueError:  # it has more digits than Python writes
        return f"an integer of {value.bit_length()} bits"


def _double(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def _as_text(value: object) -> str:
    for say in (str, repr):
        try:
            return say(value)
        except Exception:  # noqa: BLE001, S112  # the next function may not raise
            continue
    return f"<{type(value).__name__}>"


def _module(value: object) -> str:
    return getattr(type(value), "__module__", None) or ""


def flattened(values: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Return dotted keys to leaves, as the server stores a document: lists and empty dicts are leaves.

    `values` is plain.
    """
    found: dict[str, object] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            found |= flattened(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def nested(leaves: Mapping[str, object]) -> dict[str, object]:
    """Return dotted keys as nested dicts. A key below a key that has a value itself stays dotted."""
    found: dict[str, object] = {}
    for key in sorted(leaves):
        *path, last = key.split(".")
        place: object = found if all((*path, last)) else None
        for part in path:
            place = place.setdefault(part, {}) if isinstance(place, dict) else None
        if isinstance(place, dict) and last not in place:
            place[last] = leaves[key]
        else:
            found[key] = leaves[key]
    return found


def without(values: Mapping[str, object], left_out: Callable[[str], bool], prefix: str = "") -> dict[str, object]:
    """Return plain nested `values` without the leaves whose dotted key `left_out` accepts.

    Dicts that become empty are removed, too.
    """
    found: dict[str, object] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            inner = without(value, left_out, f"{prefix}{key}.")
            if inner:
                found[key] = inner
        elif not left_out(f"{prefix}{key}"):
            found[key] = value
    return found
