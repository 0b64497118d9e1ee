"""Edits of stored runs and projects: only the differences from the server's version are sent back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runstream.errors import InvalidRequestError

if TYPE_CHECKING:
    from runstream.api.run_reference import Editable
    from runstream_proto.v1 import saved_pb2 as pb

_TEXTS = ("name", "notes", "group", "job_type")


def update_request(run: Editable) -> pb.UpdateRunsRequest | None:
    """Return a request with the changes made to `run` since it was read; None when there are none.

    Raises InvalidRequestError.
    """
    from runstream_proto.v1 import saved_pb2 as pb

    found = run.message
    request = pb.UpdateRunsRequest(team=run.entity, project=run.project, runs=[run.id])
    for name in _TEXTS:
        value = getattr(run, name)
        if value != getattr(found, name):
            setattr(request, name, "" if value is None else str(value))
    tags = [run.tags] if isinstance(run.tags, str) else [str(tag) for tag in run.tags]
    if tags != list(found.tags):
        request.tags.SetInParent()
        request.tags.tags.extend(tags)
    # A document that was never read cannot have been changed.
    for section in ("config", "summary"):
        if section in run.__dict__:
            _document(request, section, run.__dict__[section], run.document(section))
    changed = [field.name for field, _ in request.ListFields() if field.name not in ("team", "project", "runs")]
    return request if changed else None


def _document(
    request: pb.UpdateRunsRequest, section: str, now: Mapping[str, object], before: Mapping[str, object]
) -> None:
    changed = {key: _value(section, key, value) for key, value in now.items() if not _same(value, before.get(key, now))}
    if changed:
        getattr(request, section).update(changed)
    getattr(request, f"remove_{section}").extend(key for key in before if key not in now)


def _same(one: object, other: object) -> bool:
    both_nan = isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other)
    return both_nan or (type(one) is type(other) and bool(one == other))


def _value(section: str, key: str, value: Any) -> Any:
    """Return the value in a form that a Struct can hold. Raises InvalidRequestError."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): _value(section, f"{key}.{name}", item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_value(section, key, item) for item in value]
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InvalidRequestError(
            f"{section}[{key!r}] is a {type(value).__name__}: give a number, text, list or dict"
        ) from None
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else ("Infinity" if number > 0 else "-Infinity")
