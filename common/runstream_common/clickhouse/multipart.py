"""Multipart forms, in which clickhouse-connect sends parameters that are too long for a URL."""

from __future__ import annotations

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from runstream_common.clickhouse.http_protocol import BadRequestError

_MAX_FIELDS = 1000
"""The most fields of a form: as many as a URL may have."""


def form_fields(content_type: str, body: bytes) -> dict[str, str]:
    """Return the fields of a form, in time linear in its size. Raise BadRequestError."""
    form = _Form()
    try:
        boundary = parse_options_header(content_type.encode("latin-1", "replace"))[1].get(b"boundary", b"")
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": form.begin,
                "on_header_field": form.header_name,
                "on_header_value": form.header_value,
                "on_header_end": form.header_end,
                "on_part_data": form.data,
                "on_part_end": form.end,
            },
            len(body) + 1,
        )
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise BadRequestError("the form cannot be read: give its parts a content-disposition with a name") from error
    if not form.fields:
        raise BadRequestError("the form has no fields")
    return form.fields


class _Form:
    """The callbacks of the parser. The parser itself limits the headers."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self._disposition = b""
        self._name, self._value = bytearray(), bytearray()
        self._data = bytearray()
        self._parts = 0

    def begin(self) -> None:
        self._parts += 1
        if self._parts > _MAX_FIELDS:
            raise BadRequestError(f"a form of more than {_MAX_FIELDS} fields")
        self._disposition = b""
        self._data.clear()

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def data(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]

    def end(self) -> None:
        name = parse_options_header(self._disposition)[1].get(b"name", b"").decode("utf-8", "replace")
        if not name:
            return
        try:
            self.fields[name] = self._data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadRequestError(f"the form field {name[:80]!r} is not valid UTF-8") from error
