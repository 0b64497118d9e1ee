"""The interface of rich values for `log()`: each writes itself as records, or says why it cannot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from runstream.base.json_text import dumps
from runstream.errors import RunstreamError, UsageError


class Outbox(Protocol):
    """The place where values write themselves: one key and step of one run."""

    def record(self, kind: str, value: dict[str, object], contents: list[Content] | None = None) -> None:
        """Append one record, together with the contents that it refers to. Raises SpoolError, UsageError."""
        ...

    def point(self, key: str, value: float, step: int) -> None:
        """Append a scalar point. Raises SpoolError."""
        ...


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes on their way to object storage: they are in memory, or in a file that is copied."""

    media_type: str
    sha256: str
    size_bytes: int
    data: bytes | None = None
    path: Path | None = None

    @classmethod
    def of_bytes(cls, data: bytes, media_type: str) -> Content:
        import hashlib

        return cls(media_type, hashlib.sha256(data).hexdigest(), len(data), data)

    @classmethod
    def of_file(cls, path: Path, media_type: str) -> Content:
        """Return the content of a file, after reading the file once for its hash.

        Raises UsageError when it cannot be read.
        """
        import hashlib

        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
                return cls(media_type, digest.hexdigest(), file.tell(), None, path)
        except OSError as error:
            raise UsageError(f"the file {path} cannot be read: {error.strerror}") from error


class Loggable:
    """A value for `log()`. It copies its content when it is constructed, so that the source may change afterwards.

    The constructor never raises because of its source: `log()` leaves such a value out and says why, once.
    """

    problem: str = ""
    """The reason why the value cannot be logged; it is empty when it can be."""

    def write(self, key: str, step: int, out: Outbox) -> None:
        """Write the value as records under `key` and `step`. Raises UsageError, SpoolError."""
        raise NotImplementedError


class Media(Loggable):
    """A value whose content goes to object storage, with a caption and the metadata that a viewer needs."""

    def __init__(self, caption: object = None) -> None:
        self.caption = "" if caption is None else str(caption)
        self.metadata: dict[str, Any] = {}
        self.contents: list[Content] = []
        """The first content is shown; the metadata refers to the others (masks)."""

    def _take(self, *arguments: object, **options: object) -> None:
        """Call `_read`, and keep its error as the value's `problem`."""
        try:
            self._read(*arguments, **options)
        except RunstreamError as error:
            self.problem = str(error)
        except Exception as error:  # noqa: BLE001  # a foreign object may raise anything when it is read
            self.problem = f"{type(error).__name__}: {error}"

    def _read(self, *arguments: Any, **options: Any) -> None:
        """Fill `contents` and `metadata`. Raises UsageError."""
        raise NotImplementedError

    def reference(self) -> dict[str, object]:
        """Return the dict that a table's cell holds for this value."""
        content = self.contents[0]
        return {
            "_type": "media",
            "media_type": content.media_type,
            "sha256": content.sha256,
            "size_bytes": content.size_bytes,
            "caption": self.caption,
            "metadata": self.metadata,
        }

    def write(self, key: str, step: int, out: Outbox) -> None:
        write_media([self], key, step, out)


class Text(Loggable):
    """A text that did not come as a str, such as a date as ISO 8601."""

    def __init__(self, text: str) -> None:
        self.text = text

    def write(self, key: str, step: int, out: Outbox) -> None:
        out.record("text", {"key": key, "step": step, "value": self.text})


def write_value(value: Any, key: str, step: int, out: Outbox) -> None:
    """Write a `Loggable`, or a list of `Media`. Raises UsageError, SpoolError."""
    if isinstance(value, list):
        write_media(value, key, step, out)
    else:
        value.write(key, step, out)


def write_media(items: list[Media], key: str, step: int, out: Outbox) -> None:
    """Write several values under one key and step, in order. Raises UsageError when one of them cannot be logged."""
    for item in items:
        if item.problem:
            raise UsageError(item.problem)
    for index, item in enumerate(items):
        content = item.contents[0]
        value = {
            "key": key,
            "step": step,
            "index": index,
            "media_type": content.media_type,
            "sha256": content.sha256,
            "size_bytes": content.size_bytes,
            "caption": item.caption,
            "metadata_json": dumps(item.metadata),
        }
        out.record("media", value, item.contents)
