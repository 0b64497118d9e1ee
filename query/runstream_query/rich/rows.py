"""Read a JSON array of rows in pieces: memory grows with the longest row, not the table."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator

MAX_ROW_CHARACTERS = 32 << 20
_DECODER = json.JSONDecoder()


class DamagedTableError(Exception):
    """The content is not a JSON array of arrays."""


class RowReader:
    """Parses rows: call `feed()` with bytes as they arrive, and take the complete rows."""

    def __init__(self) -> None:
        self._text = ""
        self._decode = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun = False
        self._ended = False

    def feed(self, data: bytes, *, last: bool = False) -> Iterator[list[object]]:
        """Yield complete rows in order.

        Raise DamagedTableError for other content, and also if the array is not closed at the end (`last`).
        """
        self._text += self._decode.decode(data, last)
        many, place = self._many(self._skip(0))
        yield from many
        while not self._ended:
            place = self._skip(place)
            if place >= len(self._text):
                break
            if self._text[place] == "]":
                self._ended = True
                break
            try:
                row, place = _DECODER.raw_decode(self._text, place)
            except (ValueError, RecursionError) as error:
                if last or len(self._text) - place > MAX_ROW_CHARACTERS or isinstance(error, RecursionError):
                    raise DamagedTableError("the table's content is damaged: it is not a JSON array of rows") from error
                break  # the rest of this row is in the next piece
            if not isinstance(row, list):
                raise DamagedTableError("the table's content is damaged: a row is not an array")
            yield row
        self._text = "" if self._ended else self._text[place:]
        if last and not self._ended:
            raise DamagedTableError("the table's content is damaged: it ends in the middle")

    def _many(self, place: int) -> tuple[list[list[object]], int]:
        """Parse all rows up to the last position that looks like the end of a row; return them and the next position.

        There are none if that text does not parse: inside a text or a nested array the brackets do not match.
        """
        end = self._text.rfind("],", place) + 1
        if not end:
            return [], place
        try:
            rows = json.loads(f"[{self._text[place:end]}]")
        except (ValueError, RecursionError):
            return [], place
        return (rows, end) if all(type(row) is list for row in rows) else ([], place)

    def _skip(self, place: int) -> int:
        """Return the place behind blanks, commas and, once, the bracket that opens the array."""
        while place < len(self._text):
            character = self._text[place]
            if character == "[" and not self._begun:
                self._begun = True
            elif character not in " \t\r\n" and (character != "," or not self._begun):
                if not self._begun:
                    raise DamagedTableError("the table's content is damaged: it does not begin with an array")
                break
            place += 1
        return place
