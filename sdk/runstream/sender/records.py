"""The spool's JSON records into the wire's messages.

The training process writes JSON, because it imports no protobuf. `{"kind": ..., ...}`; the kinds and their
fields are those of `Record.kind` in ingest.proto, in their JSON form.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format

from runstream import text
from runstream_proto.v1 import ingest_pb2 as pb


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record of the spool that cannot be put on the wire, as it lay there, and why."""

    number: int
    data: bytes
    reason: str


_LONG_CHARACTERS = 16 << 10
KINDS = frozenset(field.name for field in pb.Record.DESCRIPTOR.oneofs_by_name["kind"].fields)


def to_record(number: int, time_us: int, payload: dict[str, Any]) -> pb.Record:
    """One record of the wire. Unknown kinds and fields are left out: an older sender met a newer SDK."""
    record = pb.Record(number=number, time_us=time_us)
    kind = payload.get("kind")
    if kind in KINDS:
        message = getattr(record, str(kind))
        message.SetInParent()
        value = payload.get("value", {})
        # ParseDict takes 50 ms a megabyte of text (measured).
        long = {name: item for name, item in value.items() if type(item) is str and len(item) > _LONG_CHARACTERS}
        rest = {name: item for name, item in value.items() if name not in long} if long else value
        json_format.ParseDict(rest, message, ignore_unknown_fields=True)
        for name, item in long.items():
            if name in message.DESCRIPTOR.fields_by_name:
                setattr(message, name, item)
    return record


def convert(number: int, time_us: int, data: bytes) -> tuple[pb.Record, list[Any], str]:
    """A record of the spool: what goes on the wire, the contents that it refers to, and why it is not what was logged
    (empty: it is).

    What a process of an earlier version wrote with texts that are no valid Unicode is repaired. What cannot be put on
    the wire for whatever reason becomes a `SpoolLoss`; of a start record the parts that can be are kept, because the
    run begins with it. Never raises for what the record holds.
    """
    try:
        payload = json.loads(data)
        contents = [item for item in payload.get("contents", ()) if len(item) == 3]
        return to_record(number, time_us, payload), contents, ""
    except Exception as error:  # noqa: BLE001  # one record, whatever it is, is no reason to keep its siblings
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
    """A record with those of its fields that can be put on the wire."""
    record = to_record(number, time_us, {"kind": payload["kind"]})
    for name, value in payload["value"].items():
        try:
            one = to_record(number, time_us, {"kind": payload["kind"], "value": {name: value}})
        except Exception:  # noqa: BLE001, S112  # the caller says that something was left out
            continue
        record.MergeFrom(one)
    return record
