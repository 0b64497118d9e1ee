"""What filters, orders and groups of runs mean, slowly and in plain Python: one dict a run, field -> value. Missing is
the absence of the key; a JSON null is None."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

MISSING = object()
Run = dict[str, Any]
OWN = ("tags", "group", "job_type", "notes", "sweep_id")
SHOWN = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def value_of(run: Run, field: str) -> Any:
    """config.lr.value is config.lr where there is no such key."""
    if field.startswith("config.") and field not in run and field.endswith(".value"):
        field = field.removesuffix(".value")
    return run.get(field, MISSING)


def matches(run: Run, document: dict[str, Any]) -> bool:
    return all(_entry(run, name, value) for name, value in document.items())


def _entry(run: Run, name: str, value: Any) -> bool:
    if name == "$and":
        return all(matches(run, part) for part in value)
    if name == "$or":
        return any(matches(run, part) for part in value)
    if name == "$nor":
        return not any(matches(run, part) for part in value)
    if name == "$not":
        return not matches(run, value)
    return _field(run, name, value)


def _field(run: Run, field: str, value: Any) -> bool:
    if not isinstance(value, dict):
        value = {"$eq": value}
    return all(_operator(run, field, operator, operand) for operator, operand in value.items())


def _operator(run: Run, field: str, operator: str, operand: Any) -> bool:
    found = value_of(run, field)
    if operator == "$not":
        return not _field(run, field, operand)
    if operator == "$exists":
        return (found is not MISSING) == operand
    if operator in ("$eq", "$ne"):
        return _equals(found, field, operand) == (operator == "$eq")
    if operator in ("$in", "$nin"):
        return any(_equals(found, field, one) for one in operand) == (operator == "$in")
    candidates = [found, *found] if isinstance(found, list) and _is_json(found) else [found]
    if operator == "$regex":
        return any(isinstance(one, str) and re.search(operand, one, re.DOTALL) is not None for one in candidates)
    return any(_compares(one, operator, operand) for one in candidates)


def _is_json(value: Any) -> bool:
    """A list that holds NaN is no JSON, and is compared as a whole."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _equals(found: Any, field: str, operand: Any) -> bool:
    if field in OWN and operand in ("", []):
        operand = None
    if operand is None:
        return found is MISSING or found is None
    if _one_equals(found, operand):
        return True
    if isinstance(found, list) and _is_json(found) and not isinstance(operand, list):
        return any(_one_equals(element, operand) for element in found if not _nan(element))
    return False


def _one_equals(found: Any, operand: Any) -> bool:
    if isinstance(operand, str) and operand in SHOWN and _is_number(found):
        operand = SHOWN[operand]
    if _is_number(operand):
        return _is_number(found) and (float(found) == float(operand) or (_nan(found) and _nan(operand)))
    if isinstance(operand, list):
        return isinstance(found, list) and json.dumps(found) == json.dumps(operand)
    return type(found) is type(operand) and bool(found == operand)


def _nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _compares(found: Any, operator: str, operand: Any) -> bool:
    if _is_number(operand) and _is_number(found):
        a, b = float(found), float(operand)
    elif isinstance(operand, str) and isinstance(found, str):
        a, b = found.encode(), operand.encode()  # type: ignore[assignment]
    else:
        return False
    return {"$gt": a > b, "$gte": a >= b, "$lt": a < b, "$lte": a <= b}[operator]


def kind_of(value: Any) -> int:
    """Numbers, text, booleans, lists, NaN, missing: in this order."""
    if value is MISSING or value is None:
        return 5
    if _is_number(value):
        return 4 if _nan(value) else 0
    return 1 if isinstance(value, str) else 2 if isinstance(value, bool) else 3


def _within(value: Any) -> Any:
    kind = kind_of(value)
    if kind in (4, 5):
        return (0.0, b"")
    if kind == 0:
        return (float(value), b"")
    text = value if kind == 1 else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return (0.0, text.encode())


def ordered(runs: Sequence[Run], order: Sequence[str]) -> list[Run]:
    """By the last key first: Python's sort keeps the order of what is equal."""
    found = sorted(runs, key=lambda run: run["id"].encode())
    for text in reversed(order or ["-created_at"]):
        field = text.lstrip("+-")
        found.sort(key=lambda run: _within(value_of(run, field)), reverse=text.startswith("-"))
        found.sort(key=lambda run: kind_of(value_of(run, field)))
    return found


def group_key(run: Run, by: Sequence[str]) -> tuple[Any, ...]:
    return tuple((kind_of(value_of(run, field)), *_within(value_of(run, field))) for field in by)
