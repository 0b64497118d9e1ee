"""The spool's JSON records into the wire's messages.

The training process writes JSON, because it imports no protobuf. `{"kind": ..., ...}`; the kinds and their
fields are those of `Record.kind` in ingest.proto, in their JSON form.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format

from runstream_proto.v1 import ingest_pb2 as pb

KINDS = frozenset(field.name for field in pb.Record.DESCRIPTOR.oneofs_by_name["kind"].fields)


def to_record(number: int, time_us: int, payload: dict[str, Any]) -> pb.Record:
    """One record of the wire. Unknown kinds and fields are left out: an older sender met a newer SDK."""
    record = pb.Record(number=number, time_us=time_us)
    kind = payload.get("kind")
    if kind in KINDS:
        message = getattr(record, str(kind))
        message.SetInParent()
        json_format.ParseDict(payload.get("value", {}), message, ignore_unknown_fields=True)
    return record
