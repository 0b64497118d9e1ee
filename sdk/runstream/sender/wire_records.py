"""Conversion of the spool's JSON records into the wire's messages.

The training process writes JSON, because it imports no protobuf: `{"kind": ..., ...}`. The kinds and their
fields are those of `Record.kind` in ingest.proto, in their JSON form.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format

from runstream.base import text
from runstream_proto.v1 import ingest_pb2 as pb


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record of the spool that cannot be put on the wire, with its bytes and the reason."""

    number: int
    data: bytes
    reason: str


_LONG_CHARACTERS = 16 << 10
KINDS = frozenset(field.name for field in pb.Record.DESCRIPTOR.oneofs_by_name["kind"].fields)


def to_record(number: int, time_us: int, payload: dict[str, Any]) -> pb.Record:
    """Return one record of the wire. Unknown kinds and fields are left out: an older sender met a newer SDK."""
    record = pb.Record(number=number, time_us=time_us)
    kind = payload.get("kind")
    if kind in KINDS:
        message = getattr(record, str(kind))
        message.SetInParent()
        value = payload.get("value", {})
        # ParseDict takes 50 ms for a megabyte of text (measured).
        long = {name: item for name, item in value.items() if type(item) is str and len(item) > _LONG_CHARACTERS}
        rest = {name: item for name, item in value.items() if name not in long} if long else value
        json_format.ParseDict(rest, message, ignore_unknown_fields=True)
        for name, item in long.items():
            if name in message.DESCRIPTOR.fields_by_name:
                setattr(message, name, item)
    return record


def convert(number: int, time_us: int, data: bytes) -> tuple[pb.Record, list[Any], str]:
    """Convert a record of the spool: return the wire's record, the contents that it refers to, and a problem.

    The problem says why the wire's record is not the logged one; it is empty when it is. Texts of an earlier version
    that are no valid Unicode are repaired. A record that cannot be put on the wire becomes a `SpoolLoss`; a start
    record keeps the parts that can be, because the run begins with it. Never raises for the content of the record.
    """
    try:
        payload = json.loads(data)
        contents = [item for item in payload.get("contents", ()) if len(item) == 3]
        return to_record(number, time_us, payload), contents, ""
    except Exception as error:  # noqa: BLE001  # one bad record must not hold up the others
        return _repaired(number, time_us, data, f"{type(error).__name__}: {error}")


def _repaired(number: int, time_us: int, data: bytes, reason: str) -> tuple[pb.Record, list[Any], str]:
    try:
        payload = text.plain(json.loads(data))
        contents = [item for item in payload.get("contents", ()) if len(item) == 3]
        return to_record(number, time_us, payload), contents, ""
    except Exception as error:  # noqa: BLE001  # as above
        reason = f"{type(error).__name__}: {error}"
    reason = text.valid(reason)[:1024]
    try:
        payload = text.plain(json.loads(data))
        if payload["kind"] == "start":
            return _what_can_be(number, time_us, payload), [], reason
    except Exception:  # noqa: BLE001, S110  # as above
        pass
    lost = pb.Record(number=number, time_us=time_us)
    lost.loss.cause = pb.SpoolLoss.CAUSE_UNREADABLE
    return lost, [], reason


def _what_can_be(number: int, time_us: int, payload: dict[str, Any]) -> pb.Record:
    """Return a record with those of its fields that can be put on the wire."""
    record = to_record(number, time_us, {"kind": payload["kind"]})
    for name, value in payload["value"].items():
        try:
            one = to_record(number, time_us, {"kind": payload["kind"], "value": {name: value}})
        except Exception:  # noqa: BLE001, S112  # the caller reports that a field was left out
            continue
        record.MergeFrom(one)
    return record
