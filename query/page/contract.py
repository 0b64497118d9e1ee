"""Write `src/api/contract.ts`, the types of the services' JSON, and `wire.ts` (see `wire.py`). `--check`: only compare.

The types are made from the descriptors of the services, with the field names of the .proto files. In JSON, 64-bit
integers are strings, and doubles may be "NaN" or "Infinity".
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from runstream_proto.v1 import account_pb2, query_pb2, sweep_pb2

sys.path.insert(0, str(Path(__file__).resolve().parent))
from wire import wire  # type: ignore[import-not-found]  # programs side by side, not a package

OUTPUT = Path(__file__).resolve().parent / "src" / "api"
_SERVICES = ((query_pb2, "QueryService"), (sweep_pb2, "SweepService"), (account_pb2, "AccountService"))
_WELL_KNOWN = {
    "google.protobuf.Timestamp": "string",
    "google.protobuf.Duration": "string",
    "google.protobuf.Struct": "Json",
    "google.protobuf.Value": "JsonValue",
    "google.protobuf.ListValue": "JsonValue[]",
}
_SCALARS = {
    FieldDescriptor.CPPTYPE_INT32: "number",
    FieldDescriptor.CPPTYPE_UINT32: "number",
    FieldDescriptor.CPPTYPE_INT64: "Int64",
    FieldDescriptor.CPPTYPE_UINT64: "Int64",
    FieldDescriptor.CPPTYPE_DOUBLE: "Double",
    FieldDescriptor.CPPTYPE_FLOAT: "Double",
    FieldDescriptor.CPPTYPE_BOOL: "boolean",
    FieldDescriptor.CPPTYPE_STRING: "string",
}
_LINE_LENGTH = 120
_HEAD = """// Made by query/page/contract.py from proto/runstream/v1: do not edit.

export type Int64 = string;
export type Double = number | "NaN" | "Infinity" | "-Infinity";
export type JsonValue = null | boolean | number | string | JsonValue[] | { [key: string]: JsonValue };
export type Json = { [key: string]: JsonValue };
"""


def contract() -> str:
    """Return the content of `contract.ts`."""
    methods = [
        method
        for module, service in _SERVICES
        for method in module.DESCRIPTOR.services_by_name[service].methods  # type: ignore[attr-defined]
    ]
    types: dict[str, str] = {}
    for method in methods:
        _collect(method.input_type, types)
        _collect(method.output_type, types)
    unary = [_entry(method) for method in methods if not method.server_streaming]
    streams = [_entry(method) for method in methods if method.server_streaming]
    parts = [
        _HEAD,
        *(types[name] for name in sorted(types)),
        _interface("Methods", unary),
        _interface("Streams", streams),
    ]
    return "\n".join(parts)


def _entry(method: Any) -> str:
    return f"  {method.name}: [{_name(method.input_type)}, {_name(method.output_type)}];"


def _collect(message: Any, types: dict[str, str]) -> None:
    name = _name(message)
    if message.full_name in _WELL_KNOWN or name in types:
        return
    types[name] = ""
    lines = []
    for field in message.fields:
        for part in (field.message_type, field.message_type and _map_value(field)):
            if part and not part.GetOptions().map_entry:
                _collect(part, types)
        if field.enum_type:
            types[_name(field.enum_type)] = _union(field.enum_type)
        optional = "?" if field.has_presence else ""
        lines.append(f"  {field.name}{optional}: {_type(field)};")
    types[name] = _interface(name, lines)


def _union(enum: Any) -> str:
    """Return the type of an enum, on as many lines as it needs."""
    values = [f'"{value.name}"' for value in enum.values]
    line = f"export type {_name(enum)} = {' | '.join(values)};\n"
    if len(line) <= _LINE_LENGTH:
        return line
    return f"export type {_name(enum)} =\n" + "\n".join(f"  | {value}" for value in values) + ";\n"


def _map_value(field: Any) -> Any:
    entry = field.message_type
    return entry.fields_by_name["value"].message_type if entry.GetOptions().map_entry else None


def _type(field: Any) -> str:
    if field.message_type and field.message_type.GetOptions().map_entry:
        return f"{{ [key: string]: {_single(field.message_type.fields_by_name['value'])} }}"
    return f"{_single(field)}[]" if field.is_repeated else _single(field)


def _single(field: Any) -> str:
    if field.message_type:
        return _WELL_KNOWN.get(field.message_type.full_name) or _name(field.message_type)
    return _name(field.enum_type) if field.enum_type else _SCALARS[field.cpp_type]


def _name(descriptor: Any) -> str:
    """Return a type's name, with nested names run together: Completeness.Verdict is CompletenessVerdict."""
    parent = descriptor.containing_type
    return f"{_name(parent) if parent else ''}{descriptor.name}"


def _interface(name: str, lines: list[str]) -> str:
    return "\n".join([f"export interface {name} {{", *lines, "}", ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    made = {OUTPUT / "contract.ts": contract(), OUTPUT / "wire.ts": wire()}
    if parser.parse_args().check:
        return 0 if all(path.read_text(encoding="utf-8") == text for path, text in made.items()) else 1
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
