"""Read a change of runs from a request, and turn it into rows of the runs' documents. It is pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from runstream_proto.v1 import saved_pb2 as pb
from runstream_query.base.errors import InvalidRequestError
from runstream_query.runs.editing import limits
from runstream_query.runs.selection.field_column import json_text

_LINES = {
    "name": limits.MAX_NAME_CHARACTERS,
    "group": limits.MAX_LINE_CHARACTERS,
    "job_type": limits.MAX_LINE_CHARACTERS,
}
_MAX_DEPTH = 16


@dataclass(frozen=True, slots=True)
class RunChange:
    """The fields that are changed; all others stay."""

    fields: Mapping[str, Any]
    """The change as it is stored, by name.

    The names are name, notes, group, job_type, tags, add_tags, remove_tags, config and summary (key to value),
    remove_config and remove_summary.
    """

    @property
    def tags(self) -> bool:
        return any(name in self.fields for name in ("tags", "add_tags", "remove_tags"))

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Yield (section, key, JSON text) for all but the tags; the text is empty for a deleted key."""
        for name in ("name", "notes", "group", "job_type"):
            if name in self.fields:
                yield "run", name, _text(self.fields[name])
        for section in ("config", "summary"):
            for key, value in self.fields.get(section, {}).items():
                yield section, key, _text(value)
            for key in self.fields.get(f"remove_{section}", ()):
                yield section, key, ""


def read_change(request: pb.UpdateRunsRequest) -> RunChange:
    """Read and check the change in a request. Raise InvalidRequestError that names the wrong field."""
    fields: dict[str, object] = {}
    for name, most in _LINES.items():
        if request.HasField(name):  # type: ignore[arg-type]  # a key of _LINES
            fields[name] = one_line(name, getattr(request, name), most)
    if "name" in fields and (len(set(request.runs)) > 1 or not fields["name"]):
        raise InvalidRequestError("name: give a name to one run at a time, of 1 character at least")
    if request.HasField("notes"):
        fields["notes"] = text("notes", request.notes, limits.MAX_NOTES_BYTES)
    if request.HasField("tags"):
        fields["tags"] = _tags("tags", request.tags.tags)
    for name in ("add_tags", "remove_tags"):
        if getattr(request, name):
            fields[name] = _tags(name, getattr(request, name))
    for section in ("config", "summary"):
        if document := _document(section, getattr(request, section)):
            fields[section] = document
        if keys := list(dict.fromkeys(getattr(request, f"remove_{section}"))):
            _check_keys(f"remove_{section}", keys)
            fields[f"remove_{section}"] = keys
            if both := set(keys) & set(document):
                raise InvalidRequestError(
                    f"{section}: {min(both)!r} occurs in {section} and in remove_{section}: choose one"
                )
    if not fields:
        raise InvalidRequestError("nothing to change: give name, notes, group, job_type, tags, config or summary")
    return RunChange(fields)


def one_line(name: str, value: str, most: int) -> str:
    """Return the text without the space around it. Raise InvalidRequestError if it is no single line, or too long."""
    value = value.strip()
    if len(value) > most or any(ord(letter) < 32 or letter in "\x7f\u2028\u2029" for letter in value):
        raise InvalidRequestError(f"{name}: one line of at most {most} characters")
    return value


def text(name: str, value: str, most_bytes: int) -> str:
    """Return the text. Raise InvalidRequestError if it has more than `most_bytes` as UTF-8, or holds NUL."""
    size = len(value.encode("utf-8", "surrogatepass"))
    if size > most_bytes or "\0" in value:
        raise InvalidRequestError(f"{name}: {size} bytes; at most {most_bytes}, without NUL")
    return value


def _tags(name: str, tags: Sequence[str]) -> list[str]:
    found = list(dict.fromkeys(one_line(name, tag, limits.MAX_LINE_CHARACTERS) for tag in tags))
    if len(found) > limits.MAX_TAGS or not all(found):
        raise InvalidRequestError(f"{name}: at most {limits.MAX_TAGS} tags, of 1 character at least")
    return found


def check_tags(run: str, tags: Sequence[str]) -> None:
    """Raise InvalidRequestError if these are too many tags for the run."""
    if len(tags) > limits.MAX_TAGS:
        raise InvalidRequestError(f"the run {run} would have {len(tags)} tags: at most {limits.MAX_TAGS}")


def _document(section: str, struct: Struct) -> dict[str, object]:
    """Return the struct's values by dotted key. Raise InvalidRequestError."""
    if struct.ByteSize() > limits.MAX_DOCUMENT_BYTES:
        raise InvalidRequestError(f"{section}: at most {limits.MAX_DOCUMENT_BYTES} bytes in one change")
    try:
        values = json_format.MessageToDict(struct)
    except (json_format.SerializeToJsonError, ValueError, RecursionError) as error:
        raise InvalidRequestError(f'{section}: numbers must be finite; write "NaN" as a text: {error}') from error
    found = dict(_leaves(section, "", values, 0))
    _check_keys(section, list(found))
    return found


def _leaves(section: str, prefix: str, values: Mapping[str, object], depth: int) -> Iterator[tuple[str, object]]:
    if depth > _MAX_DEPTH:
        raise InvalidRequestError(f"{section}: at most {_MAX_DEPTH} levels")
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(section, f"{prefix}{key}.", value, depth + 1)
        else:
            yield f"{prefix}{key}", value


def _check_keys(name: str, keys: Sequence[str]) -> None:
    if len(keys) > limits.MAX_KEYS:
        raise InvalidRequestError(f"{name}: {len(keys)} keys; at most {limits.MAX_KEYS} in one change")
    for key in keys:
        if not key or "\0" in key or len(key.encode("utf-8", "surrogatepass")) > limits.MAX_KEY_BYTES:
            raise InvalidRequestError(f"{name}: a key is 1 to {limits.MAX_KEY_BYTES} bytes, without NUL")


def _text(value: object) -> str:
    return json_text(_whole(value))


def _whole(value: object) -> object:
    """Return the value with whole numbers as ints, which are written as the SDK writes them.

    All numbers of a Struct are doubles.
    """
    if isinstance(value, float) and math.isfinite(value) and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return value
