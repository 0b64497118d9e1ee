"""Hold the data that one poll found, once for all watchers of the project; each gets its part. It is pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from runstream_proto.v1 import live_pb2 as pb
from runstream_proto.v1 import rich_pb2 as rich
from runstream_query.live.interest import Interest
from runstream_query.live.limits import MAX_ENTRY_POINTS


@dataclass(frozen=True, slots=True)
class Piece:
    """Points of one series: numpy arrays of equal length (int64, float64, int64)."""

    run: str
    metric: str
    rank: int
    steps: Any
    values: Any
    times_us: Any


@dataclass(slots=True)
class FeedEntry:
    """The data that one poll found. `number` is its position in the feed."""

    number: int = 0
    pieces: list[Piece] = field(default_factory=list)
    runs: list[pb.RunChange] = field(default_factory=list)
    fields: list[pb.FieldChange] = field(default_factory=list)
    keys: list[pb.KeyChange] = field(default_factory=list)
    console: list[rich.ConsoleRow] = field(default_factory=list)
    alerts: list[rich.AlertItem] = field(default_factory=list)
    resets: dict[str, str] = field(default_factory=dict)
    """The reason by run; the run '' means all runs."""
    _made: dict[Interest, pb.WatchRunsResponse | None] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return not (self.pieces or self.runs or self.fields or self.keys or self.console or self.alerts or self.resets)

    @property
    def points(self) -> int:
        return sum(len(piece.steps) for piece in self.pieces)

    @property
    def bytes(self) -> int:
        """About how many bytes of memory the entry takes."""
        texts = sum(len(row.text) + 200 for row in self.console) + sum(len(row.text) + 400 for row in self.alerts)
        small = sum(len(one.value_json) + 200 for one in self.fields) + 200 * (len(self.keys) + len(self.runs))
        return 24 * self.points + 300 * len(self.pieces) + texts + small + 500

    def response(self, interest: Interest, event_id: str) -> pb.WatchRunsResponse | None:
        """Return the part of the entry that matches the interest; None if nothing matches.

        It is made once for all watchers with this interest.
        """
        if interest not in self._made:
            self._made[interest] = self._make(interest, event_id)
        return self._made[interest]

    def forget(self) -> None:
        """Drop the cached responses; one that is still needed is made again."""
        self._made.clear()

    def _make(self, interest: Interest, event_id: str) -> pb.WatchRunsResponse | None:
        found = pb.WatchRunsResponse(
            runs=[one for one in self.runs if interest.wants_run(one.run)],
            fields=[one for one in self.fields if one.run in interest.runs],
            keys=[one for one in self.keys if one.run in interest.runs],
            console=[one for one in self.console if interest.wants_line(one.run, one.rank)],
            alerts=[one for one in self.alerts if interest.wants_run(one.run)],
        )
        for piece in self.pieces:
            if interest.wants_points(piece.run, piece.metric, piece.rank):
                found.points.add(
                    run=piece.run,
                    metric=piece.metric,
                    rank=piece.rank,
                    steps=piece.steps.tolist(),
                    values=piece.values.tolist(),
                    times_us=piece.times_us.tolist(),
                )
        if "" in self.resets:
            found.reset.reason = self.resets[""]
        elif missed := sorted(run for run in self.resets if run in interest.runs):
            found.reset.reason = self.resets[missed[0]]
            found.reset.runs.extend(missed)
        if not found.ListFields():
            return None
        found.event_id = event_id
        return found


def split(entry: FeedEntry) -> Iterator[FeedEntry]:
    """Yield the same content as entries of at most MAX_ENTRY_POINTS points; the first has all that is not a point."""
    first, rest = entry.pieces, [entry]
    entry.pieces, room = [], MAX_ENTRY_POINTS
    for piece in first:
        for part in _cut(piece, room):
            if len(part.steps) > room:
                rest.append(FeedEntry())
                room = MAX_ENTRY_POINTS
            rest[-1].pieces.append(part)
            room -= len(part.steps)
    yield from rest


def _cut(piece: Piece, room: int) -> Sequence[Piece]:
    if len(piece.steps) <= max(room, 1):
        return [piece]
    edges = range(0, len(piece.steps), MAX_ENTRY_POINTS)
    return [
        Piece(
            piece.run,
            piece.metric,
            piece.rank,
            piece.steps[start : start + MAX_ENTRY_POINTS],
            piece.values[start : start + MAX_ENTRY_POINTS],
            piece.times_us[start : start + MAX_ENTRY_POINTS],
        )
        for start in edges
    ]
