"""Write `src/api/wire.ts`, readers of protobuf answers, from their descriptors. Whole columns become typed arrays."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from runstream_proto.v1 import curves_pb2, query_pb2

ANSWERS = (query_pb2.GetCurvesResponse.DESCRIPTOR, curves_pb2.GetGroupCurvesResponse.DESCRIPTOR)
"""The large answers; the page reads all others as JSON."""
_HEAD = """// Made by query/page/contract.py from proto/runstream/v1: do not edit.
import type { PbfReader } from "pbf";
import { doubles, joined, NONE, wholes } from "./packedColumns";
"""
_READ = {
    FieldDescriptor.TYPE_STRING: "readString",
    FieldDescriptor.TYPE_UINT32: "readVarint",
    FieldDescriptor.TYPE_UINT64: "readVarint",
    FieldDescriptor.TYPE_SINT64: "readSVarint",
    FieldDescriptor.TYPE_DOUBLE: "readDouble",
}


def wire() -> str:
    """Return the content of `wire.ts`. Raise KeyError at a field of a type that `_READ` does not know."""
    messages: dict[str, Any] = {}
    for answer in ANSWERS:
        _collect(answer, messages)
    parts = [_HEAD]
    for message in messages.values():
        parts += [_interface(message), _reader(message)]
    return "\n".join(parts)


def _collect(message: Any, found: dict[str, Any]) -> None:
    if message.name in found:
        return
    for field in message.fields:
        if field.message_type:
            _collect(field.message_type, found)
    found[message.name] = message


def _interface(message: Any) -> str:
    lines = [f"  {field.name}: {_type(field)};" for field in message.fields]
    return "\n".join([f"export interface {message.name} {{", *lines, "}", ""])


def _type(field: Any) -> str:
    if field.message_type:
        return f"{field.message_type.name}[]" if field.is_repeated else field.message_type.name
    if field.type == FieldDescriptor.TYPE_STRING:
        return "string[]" if field.is_repeated else "string"
    return "Float64Array" if field.is_repeated else "number"


def _reader(message: Any) -> str:
    lines = [
        f"export function read{message.name}(pbf: PbfReader, end: number): {message.name} {{",
        "  return pbf.readFields(",
        f"    fieldOf{message.name},",
        "    {",
        *(f"      {field.name}: {_default(field)}," for field in message.fields),
        "    },",
        "    end,",
        "  );",
        "}",
        "",
        f"function fieldOf{message.name}(tag: number, into: {message.name}, pbf: PbfReader): void {{",
    ]
    for place, field in enumerate(message.fields):
        lines.append(f"  {'else ' if place else ''}if (tag === {field.number}) {_statement(field)};")
    return "\n".join([*lines, "}", ""])


def _default(field: Any) -> str:
    if field.is_repeated:
        return "[]" if _type(field).endswith("[]") else "NONE"
    return '""' if field.type == FieldDescriptor.TYPE_STRING else "0"


def _statement(field: Any) -> str:
    name = f"into.{field.name}"
    if field.message_type:
        return f"{name}.push(read{field.message_type.name}(pbf, pbf.readVarint() + pbf.pos))"
    one = f"pbf.{_READ[field.type]}()"
    if not field.is_repeated:
        return f"{name} = {one}"
    if field.type == FieldDescriptor.TYPE_STRING:
        return f"{name}.push({one})"
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return f"{name} = joined({name}, doubles(pbf))"
    return f"{name} = joined({name}, wholes(pbf, {'true' if field.type == FieldDescriptor.TYPE_SINT64 else 'false'}))"
