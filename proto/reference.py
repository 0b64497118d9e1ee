"""Write the reference of the contract as Markdown: `python proto/reference.py FOLDER`.

The comments of the `.proto` files are the text: `make docs` puts the pages into the documentation's site.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import grpc_tools
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
MESSAGES, ENUMS, SERVICES = 4, 5, 6
"""Numbers of the fields of FileDescriptorProto: the paths of comments begin with them."""
FIELDS, NESTED, NESTED_ENUMS = 2, 3, 4
"""Numbers of the fields of DescriptorProto."""
VALUES = METHODS = 2
"""Numbers of the fields of EnumDescriptorProto and of ServiceDescriptorProto."""
SCALARS = {number: name.removeprefix("TYPE_").lower() for name, number in FieldDescriptorProto.Type.items()}

Place = tuple[int, ...]


def described() -> FileDescriptorSet:
    """Compile the contract and return its descriptors, with comments."""
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set"
        sources = [str(path.relative_to(HERE)) for path in sorted((HERE / "runstream" / "v1").glob("*.proto"))]
        arguments = ["protoc", f"-I{HERE}", f"-I{well_known}", f"--descriptor_set_out={out}", "--include_source_info"]
        if protoc.main([*arguments, *sources]) != 0:
            raise SystemExit("protoc failed")
        return FileDescriptorSet.FromString(out.read_bytes())


class Page:
    """One `.proto` file as Markdown."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._file = file
        self._comments = {tuple(at.path): at for at in file.source_code_info.location}

    def text(self) -> str:
        """Return the page as Markdown."""
        name = Path(self._file.name).name
        return "\n".join([f"# {name}", "", *self._services(), *self._messages(), *self._enums(self._file.enum_type)])

    def _comment(self, path: Place) -> str:
        at = self._comments.get(path)
        words = [] if at is None else [*at.leading_detached_comments, at.leading_comments, at.trailing_comments]
        return "\n".join(line.strip() for text in words if text.strip() for line in text.strip().splitlines())

    def _services(self) -> Iterator[str]:
        for number, service in enumerate(self._file.service):
            path = (SERVICES, number)
            yield from (f"## Service {service.name}", "", self._comment(path), "")
            for place, method in enumerate(service.method):
                ends = [
                    f"{'stream of ' * streams}{_link(kind)}"
                    for streams, kind in (
                        (method.client_streaming, method.input_type),
                        (method.server_streaming, method.output_type),
                    )
                ]
                yield from (f"### {method.name}", "", f"{ends[0]} → {ends[1]}", "")
                yield from (self._comment((*path, METHODS, place)), "")

    def _messages(self) -> Iterator[str]:
        if self._file.message_type:
            yield from ("## Messages", "")
        for number, message in enumerate(self._file.message_type):
            yield from self._message(message, (MESSAGES, number), "")

    def _message(self, message: DescriptorProto, path: Place, outer: str) -> Iterator[str]:
        if message.options.map_entry:
            return
        name = f"{outer}{message.name}"
        yield from (f"### {name}", "", self._comment(path), "")
        if message.field:
            yield from ("| field | type | number | meaning |", "|---|---|---|---|")
            for place, field in enumerate(message.field):
                comment = " ".join(self._comment((*path, FIELDS, place)).split()).replace("|", "\\|")
                yield f"| `{field.name}` | {_kind(field, message)} | {field.number} | {comment} |"
            yield ""
        for place, nested in enumerate(message.nested_type):
            yield from self._message(nested, (*path, NESTED, place), f"{name}.")
        yield from self._enums(message.enum_type, (*path, NESTED_ENUMS), f"{name}.")

    def _enums(self, enums: Iterable[EnumDescriptorProto], path: Place = (ENUMS,), outer: str = "") -> Iterator[str]:
        for number, enum in enumerate(enums):
            at = (*path, number)
            yield from (
                f"### {outer}{enum.name}",
                "",
                self._comment(at),
                "",
                "| value | number | meaning |",
                "|---|---|---|",
            )
            for place, value in enumerate(enum.value):
                comment = " ".join(self._comment((*at, VALUES, place)).split()).replace("|", "\\|")
                yield f"| `{value.name}` | {value.number} | {comment} |"
            yield ""


def _kind(field: FieldDescriptorProto, message: DescriptorProto) -> str:
    for nested in message.nested_type:
        if nested.options.map_entry and field.type_name.endswith(f".{nested.name}"):
            return f"map of {_kind(nested.field[0], nested)} to {_kind(nested.field[1], nested)}"
    repeated = field.label == FieldDescriptorProto.LABEL_REPEATED
    kind = _link(field.type_name) if field.type_name else SCALARS[field.type]
    return f"repeated {kind}" if repeated else kind


def _link(name: str) -> str:
    """Return the last part of a type's full name, as code."""
    return f"`{name.removeprefix('.runstream.v1.').removeprefix('.google.protobuf.')}`"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where to write a page for each file")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for file in described().file:
        (folder / f"{Path(file.name).stem}.md").write_text(Page(file).text(), encoding="utf-8")


if __name__ == "__main__":
    main()
