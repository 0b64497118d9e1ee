"""One process's stream of an imported run: its records, numbered anew and cut into batches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from runstream.archive.metric_frames import frame
from runstream.base.run_names import encode_id
from runstream_proto.v1 import ingest_pb2 as pb

if TYPE_CHECKING:
    from runstream.archive.metric_frames import Floats, Integers

MARK = "import-"
"""The beginning of a writer id that an import made."""
BATCH_BYTES = 512 << 10
_MAX_ROWS = 65_536
_SYSTEM, _HELPER = 2, 1
_OUTCOMES = {"finished": 1, "failed": 2, "crashed": 3, "preempted": 4}
_OUTPUTS = {"stdout": 1, "stderr": 2}
_LEVELS = {"info": 1, "warn": 2, "error": 3}
_SECTIONS = {"run": 1, "config": 2, "summary": 3, "piece": 14}


def writer_id(source: str, run: str, writer: str, attempt: int) -> str:
    """Return the new id of a stream, which is the same for the same stream of the same export.

    `attempt` grows where the target deleted the imports before it.
    """
    text = json.dumps([source, run, writer, attempt])
    return MARK + encode_id(int.from_bytes(hashlib.sha256(text.encode()).digest()[:17], "big"), 26)


@dataclass(slots=True)
class Attempt:
    """The facts that an export has of one stream, and its records as they are gathered."""

    writer: str
    """The stream's id in the export."""
    rank: int
    epoch: int
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The rows of the table `streams` by their event: start, heartbeat, finish."""
    new_writer: str = ""
    numbered: int = 0
    """The number of records so far."""
    points: int = 0
    gathered: int = 0
    """About how many bytes wait to be cut into a batch."""
    _rows: int = 0
    _first: int = 1
    _frames: list[pb.MetricFrame] = field(default_factory=list)
    _records: list[pb.Record] = field(default_factory=list)
    _points_before: int = 0

    @property
    def world_size(self) -> int:
        said: list[int] = [row["world_size"] for row in self.events.values()]
        return max([self.rank + 1, *said])

    @property
    def full(self) -> bool:
        return self.gathered >= BATCH_BYTES or self._rows >= _MAX_ROWS

    def add(self, time_us: int, number: int | None = None, **kind: Any) -> None:
        """Add one record; the keyword names its kind. `number` is its own number, where that number is a key."""
        self.numbered += 1
        record = pb.Record(number=number or self.numbered, time_us=time_us, **kind)
        self._records.append(record)
        self.gathered += record.ByteSize() + 8
        self._rows += 1

    def add_points(self, metric: str, steps: Integers, times_us: Integers, values: Floats) -> None:
        """Add points of one metric, as numpy arrays of equal length, 1 to 65,536."""
        made = frame(metric, self.numbered + 1, steps, times_us, values)
        self._frames.append(made)
        self.numbered += len(steps)
        self.points += len(steps)
        self.gathered += made.ByteSize() + 8
        self._rows += len(steps)

    def start(self, environment: Mapping[str, object] | None) -> None:
        """Add the first record. `environment`: what is known of it, where this stream logged it."""
        row = self.events.get("start")
        if row is None and environment is None:
            return
        row = row or {"time": 0, "world_size": self.world_size, "host": "", "pid": 0, "helper": 0}
        start = pb.RunStart(
            world_size=row["world_size"],
            host=row["host"],
            pid=row["pid"],
            started_us=row["time"],
            partial=True,
            helper=row["helper"] == _HELPER,
            system=row["helper"] == _SYSTEM,
        )
        if environment is not None:
            start.environment.SetInParent()
            json_format.ParseDict(dict(environment), start.environment, ignore_unknown_fields=True)
        self.add(row["time"], start=start)

    def end(self) -> None:
        """Add the stream's last heartbeat and its finish record, where it had them, with the counts of the import."""
        if row := self.events.get("heartbeat"):
            self.add(row["time"], heartbeat=pb.Heartbeat())
        if row := self.events.get("finish"):
            finish = pb.StreamFinish(
                exit_code=row["exit_code"],
                outcome=_OUTCOMES.get(row["outcome"], 1),  # type: ignore[arg-type]  # the enum's numbers
                points=self.points,
                records=self.numbered,
                dropped_points=row["dropped_points"],
            )
            self.add(row["time"], finish=finish)

    def cut(self, team: str, project: str, run: str) -> bytes:
        """Return the gathered records as a batch; return nothing (empty bytes) where there are none."""
        if not self._frames and not self._records:
            return b""
        batch = pb.Batch(
            format=1,
            run=pb.RunPath(team=team, project=project, run=run),
            writer_id=self.new_writer,
            rank=self.rank,
            first_record=self._first,
            last_record=self.numbered,
            points=self.points - self._points_before,
            frames=self._frames,
            records=self._records,
        )
        self._frames, self._records = [], []
        self._first, self._points_before = self.numbered + 1, self.points
        self.gathered = self._rows = 0
        return batch.SerializeToString(deterministic=True)


def document_record(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of `fields` as a record, under the name of its kind.

    Rows of the section environment are not for it.
    """
    if row["section"] == "definition":
        known = json.loads(row["value"])
        return {"definition": json_format.ParseDict({"name": row["key"], **known}, pb.MetricDefinition())}
    section: Any = _SECTIONS.get(row["section"], 1)  # the enum's numbers
    return {"field": pb.FieldUpdate(section=section, key=row["key"], value_json=row["value"])}


def table_record(table: str, row: Mapping[str, Any], writers: Mapping[str, str]) -> dict[str, Any]:
    """Return a row of another table as a record, under the name of its kind. `writers` maps old ids to new ones."""
    match table:
        case "texts":
            return {"text": pb.StringPoint(key=row["key"], step=row["step"], value=row["value"])}
        case "histograms":
            return {"histogram": pb.Histogram(**_only(row, "key", "step", "edges", "counts"))}
        case "tables":
            shape = {"columns": row["columns"], "rows": row["row_count"], "rows_json": row["rows"]}
            return {"table": pb.Table(key=row["key"], step=row["step"], plot_json=row["plot"], **shape)}
        case "media":
            kept = _only(row, "key", "step", "media_type", "sha256", "size_bytes", "caption")
            return {"media": pb.MediaReference(**kept, index=row["item"], metadata_json=row["metadata"])}
        case "files":
            return {"file": pb.FileReference(**_only(row, "path", "category", "media_type", "sha256", "size_bytes"))}
        case "console":
            line = _only(row, "line", "text")
            stream = writers.get(row["writer"], row["writer"])
            output: Any = _OUTPUTS.get(row["output"], 1)  # the enum's numbers
            return {"console": pb.ConsoleLine(**line, output=output, stream=stream)}
        case _:
            level: Any = _LEVELS.get(row["level"], 1)
            return {"alert": pb.Alert(title=row["title"], text=row["text"], level=level)}


def gather(rows: Iterable[Mapping[str, Any]]) -> list[Attempt]:
    """Return the streams of a run, sorted by epoch."""
    found: dict[str, Attempt] = {}
    for row in rows:
        attempt = found.setdefault(row["writer"], Attempt(row["writer"], row["rank"], row["epoch"]))
        attempt.events[row["event"]] = dict(row)
        attempt.epoch = max(attempt.epoch, row["epoch"])
    return sorted(found.values(), key=lambda attempt: (attempt.epoch, attempt.writer))


def _only(row: Mapping[str, object], *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names}
