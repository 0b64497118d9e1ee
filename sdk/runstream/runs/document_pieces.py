"""Documents that are larger than a record: their values are sent in pieces, so that a run starts with any config.

A value of more than PIECE_BYTES of JSON is written as several fields of the section `piece`, and then under its own key
as a mark that names them. The start record has the small values; all others follow it as fields.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from runstream.base import text
from runstream.base.json_text import dumps
from runstream.base.notices import warn_once

PIECE_BYTES = 1 << 20
"""The most bytes of one piece. In a record its quotes are escaped once more, which at worst doubles it; a record takes
3 MiB."""
MAX_DOCUMENT_BYTES = 64 << 20
"""The most bytes of one value as JSON."""
START_BYTES = 1 << 20
"""The most bytes of the start record, with its config and environment."""
_SMALL_BYTES = 16 << 10
"""The size of a small value: where a config is too large for the start record, small values go into it nevertheless,
while there is room."""
MARK = "\x1epieces "
"""The beginning of the text that stands for a value in pieces: `MARK digest pieces bytes`."""
_SECTIONS = {"SECTION_RUN": "run", "SECTION_CONFIG": "config", "SECTION_SUMMARY": "summary"}
_NAMES = ("name", "group", "job_type", "sweep_id")


def records_of(kind: str, value: dict[str, object]) -> list[tuple[str, dict[str, object]]]:
    """Return the records that are written for a record: the record itself, where it is no large document."""
    if kind == "field":
        return [("field", field) for field in _fields_of(value)]
    if kind == "start":
        start, fields = _start_of(value)
        return [("start", start), *(("field", field) for field in fields)]
    return [(kind, value)]


def _fields_of(field: dict[str, Any]) -> Iterator[dict[str, object]]:
    found = field.get("value_json", "")
    if len(found) * 4 <= PIECE_BYTES or len(data := found.encode()) <= PIECE_BYTES:
        yield field
        return
    section, key = field["section"], field["key"]
    if found.startswith("{") and section != "SECTION_RUN":
        for name, item in json.loads(found).items():  # nested values become dotted keys, as on the server
            yield from _fields_of({"section": section, "key": f"{key}.{name}", "value_json": dumps(item)})
        return
    if len(data) > MAX_DOCUMENT_BYTES:
        warn_once(f"{key!r} has {len(data):,} bytes, of which at most {MAX_DOCUMENT_BYTES:,} are kept: it is left out")
        yield {**field, "value_json": dumps(f"(left out: {len(data):,} bytes, more than {MAX_DOCUMENT_BYTES:,})")}
        return
    import hashlib

    digest = hashlib.sha256(data).hexdigest()[:16]
    pieces = list(_cut(data))
    for number, piece in enumerate(pieces):
        name = f"{_SECTIONS[section]}\x1f{key}\x1f{digest}\x1f{number:05d}"
        yield {"section": "SECTION_PIECE", "key": name, "value_json": piece}
    yield {**field, "value_json": dumps(f"{MARK}{digest} {len(pieces)} {len(data)}")}


def _cut(data: bytes) -> Iterator[str]:
    """Yield UTF-8 data as texts of at most PIECE_BYTES, cut between characters."""
    start = 0
    while start < len(data):
        end = min(start + PIECE_BYTES, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        yield data[start:end].decode()
        start = end


def _start_of(value: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the start record in a form that can be written, and the fields that follow it."""
    start = dict(value)
    for name in _NAMES:
        if name in start:
            start[name] = text.shortened(start[name], text.MAX_NAME_BYTES)
    config, notes, tags = start.get("config_json", ""), start.get("notes", ""), start.get("tags", [])
    fields: list[dict[str, object]] = []
    if len(config) + len(notes) + sum(map(len, tags)) > START_BYTES // 4:
        start["config_json"], fields = _config_of(config)
        for name, one in (("notes", notes), ("tags", tags)):
            if len(found := dumps(one)) > _SMALL_BYTES:
                start[name] = type(one)()
                fields += _fields_of({"section": "SECTION_RUN", "key": name, "value_json": found})
    environment = start.get("environment", {})
    if len(dumps(environment)) > START_BYTES:
        warn_once("the environment of this process is too large to be recorded: its large parts are left out")
        start["environment"] = {
            name: one for name, one in environment.items() if len(dumps(one)) <= START_BYTES // len(environment)
        }
    return start, fields


def _config_of(config_json: str) -> tuple[str, list[dict[str, object]]]:
    """Return the part of a config that fits into the start record, and the rest as fields."""
    kept: dict[str, object] = {}
    fields: list[dict[str, object]] = []
    room = START_BYTES // 4
    for key, value in json.loads(config_json or "{}").items():
        found = dumps(value)
        size = 4 * (len(key) + len(found))
        if size <= min(_SMALL_BYTES, room):
            kept[key] = value
            room -= size
        else:
            fields += _fields_of({"section": "SECTION_CONFIG", "key": key, "value_json": found})
    return dumps(kept), fields
