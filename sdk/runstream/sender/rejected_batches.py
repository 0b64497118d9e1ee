"""Batches and records that a sender could not store on the server, kept in the spool's `rejected` folder.

`WRITER-NUMBER.batch` is a batch as it was sent, refused by the server. `WRITER-record-NUMBER.record` is a record that
could not be put on the wire. Beside each is a `.json` of the same name with the reason, and the stream that it came
from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from runstream.sender.wire_records import Unreadable
from runstream.spool.folder import SpoolFolder, StreamMeta

BATCH, RECORD = ".batch", ".record"


@dataclass(frozen=True, slots=True)
class Kept:
    """One batch or record that was put aside."""

    path: Path
    run: str
    reason: str
    meta: StreamMeta | None
    """Its stream; None where an earlier version put it aside, and did not note the stream."""

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def number(self) -> int:
        """The number of the batch, or of the record."""
        return int(self.path.stem.rpartition("-")[2])


def keep_batch(spool: SpoolFolder, meta: StreamMeta, number: int, data: bytes, reason: str, detail: str) -> Path:
    """Keep a batch that the server refused. Raises OSError."""
    path = spool.rejected / f"{meta.writer_id}-{number}{BATCH}"
    return _keep(path, meta, data, {"reason": reason, "detail": detail})


def keep_record(spool: SpoolFolder, meta: StreamMeta, found: Unreadable) -> Path:
    """Keep a record that cannot be put on the wire. Raises OSError."""
    path = spool.rejected / f"{meta.writer_id}-record-{found.number}{RECORD}"
    return _keep(path, meta, found.data, {"reason": "cannot be put on the wire", "detail": found.reason})


def kept(spool: SpoolFolder) -> Iterator[Kept]:
    """Yield everything that was put aside, sorted by name."""
    for path in sorted(spool.rejected.glob("*")):
        if path.suffix in (BATCH, RECORD):
            note = _note(path)
            reason = ": ".join(str(note[name]) for name in ("reason", "detail") if note.get(name))
            yield Kept(path, str(note.get("run", "?")), reason, _meta(note.get("stream")))


def forget(one: Kept) -> None:
    """Delete a batch or record that was put aside, and its note."""
    one.path.with_suffix(".json").unlink(missing_ok=True)
    one.path.unlink(missing_ok=True)


def _keep(path: Path, meta: StreamMeta, data: bytes, note: dict[str, str]) -> Path:
    path.write_bytes(data)
    whole = {"run": meta.run, **note, "stream": asdict(meta)}
    path.with_suffix(".json").write_text(json.dumps(whole), encoding="utf-8")
    return path


def _note(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _meta(values: object) -> StreamMeta | None:
    names = {field.name for field in fields(StreamMeta)}
    if not isinstance(values, dict) or not names <= values.keys():
        return None
    return StreamMeta(**{name: values[name] for name in names})
