"""The values of a stored run beyond scalars: the functions behind the methods of `StoredRun`."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runstream.api.convert import SPECIAL
from runstream.errors import ApiError, InvalidRequestError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from runstream.api.connection import Connection
    from runstream.api.run_reference import RunReference
    from runstream_proto.v1 import rich_pb2 as pb

_OPERATORS = {
    "==": 1, "!=": 2, "<": 3, "<=": 4, ">": 5, ">=": 6,
    "in": 7, "contains": 8, "regex": 9, "missing": 10, "present": 11,
}  # fmt: skip
_TIMEOUT_S = 60.0
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class StoredHistogram:
    """One column of a heat map: the histogram of one step, or of neighbouring steps that were merged."""

    first_step: int
    last_step: int
    rank: int
    """The rank, with rank= or raw=True; else 0, and the counts are the sum over the ranks."""
    edges: list[float]
    """The bin edges; there is one more than counts."""
    counts: list[float]
    exact: bool
    """True when the bins are the logged bins, or sums of them."""


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A table as logged at one step."""

    key: str
    step: int
    rank: int
    columns: list[str]
    types: list[str]
    """One type for each column: number, text, boolean, media, list, object, missing or mixed."""
    rows: list[list[Any]]
    row_numbers: list[int]
    """The 0-based positions of the rows in the logged table."""
    total_rows: int
    matching_rows: int
    plot: dict[str, Any]
    """How the table is drawn; it is empty for a plain table."""

    def to_pandas(self) -> Any:
        """Return the rows as a pandas frame. Needs pandas."""
        import pandas as pd

        return pd.DataFrame(self.rows, columns=self.columns, index=self.row_numbers)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A content in the run's object storage: a media item, or a file that `save()` or `log_code()` kept."""

    name: str
    """The key of a media item, or the path of a file."""
    media_type: str
    sha256: str
    size_bytes: int
    rank: int
    step: int
    index: int
    caption: str
    metadata: dict[str, Any]
    category: str
    """media, file or code"""
    _api: Connection
    _path: str

    def read(self) -> bytes:
        """Return the whole content. Raises ApiError."""
        return b"".join(self._pieces())

    def download(self, path: str | Path) -> Path:
        """Write the content to a file, and return the file's path. Raises ApiError, OSError."""
        place = Path(path)
        with place.open("wb") as file:
            for piece in self._pieces():
                file.write(piece)
        return place

    def _pieces(self) -> Iterator[bytes]:
        request = urllib.request.Request(  # noqa: S310  # the address that the user gave
            self._api.base_url + self._path, headers=dict(self._api.metadata)
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
                while piece := response.read(_PIECE_BYTES):
                    yield piece
        except urllib.error.HTTPError as error:
            raise (NotFoundError if error.code == 404 else ApiError)(f"{self.name}: {error}") from None
        except OSError as error:
            raise UnavailableError(f"{self.name}: {error}") from None


def pages(api: Connection, method: str, request: Any, field: str) -> Iterator[Any]:
    """Yield all items of a request that the server answers page by page."""
    while True:
        response = api.ask(method, request)
        yield from getattr(response, field)
        if not response.next_page_token:
            return
        request.page_token = response.next_page_token


def of(run: RunReference) -> dict[str, Any]:
    """Return the fields by which a request names the run."""
    return {"team": run.entity, "project": run.project, "run": run.id}


def keys(api: Connection, run: RunReference, kind: str) -> list[dict[str, Any]]:
    from runstream_proto.v1 import rich_pb2 as pb

    kinds = {
        "": [],
        **{name: [number] for number, name in enumerate(("histogram", "table", "plot", "media", "text"), 1)},
    }
    if kind not in kinds:
        raise InvalidRequestError(f"kind is {kind!r}: use one of {', '.join(filter(None, kinds))}")
    request = pb.ListKeysRequest(**of(run), kinds=kinds[kind])  # type: ignore[arg-type]  # the enum's numbers
    return [
        {
            "key": key.name,
            "kind": pb.KeyKind.Name(key.kind).removeprefix("KEY_KIND_").lower(),
            "first_step": key.first_step,
            "last_step": key.last_step,
            "count": key.count,
            "ranks": list(key.ranks),
            "types": list(key.types),
        }
        for key in pages(api, "ListKeys", request, "keys")
    ]


def histograms(api: Connection, run: RunReference, key: str, options: Mapping[str, Any]) -> list[StoredHistogram]:
    from runstream_proto.v1 import rich_pb2 as pb

    rank = options.get("rank")
    request = pb.GetHistogramsRequest(
        **of(run),
        key=key,
        ranks=[] if rank is None else [rank],
        each_rank=rank is not None,
        columns=options["columns"],
        bins=options["bins"],
        raw=options["raw"],
        min_step=options["min_step"],
        max_step=options["max_step"],
    )
    found = [
        StoredHistogram(one.first_step, one.last_step, one.rank, list(one.edges), list(one.counts), one.exact)
        for heat_map in api.ask("GetHistograms", request).heat_maps
        for one in heat_map.columns
    ]
    return sorted(found, key=lambda one: (one.first_step, one.rank))


def table(
    api: Connection,
    run: RunReference,
    key: str,
    step: int | None,
    rank: int | None,
    where: Sequence[tuple[Any, ...]],
    order: Sequence[str],
    limit: int | None,
) -> StoredTable:
    from google.protobuf.json_format import ParseDict

    from runstream_proto.v1 import rich_pb2 as pb

    request = pb.GetTableRequest(**of(run), key=key, step=step, rank=rank, page_size=min(limit or 10_000, 10_000))
    for condition in where:
        if len(condition) not in (2, 3) or condition[1] not in _OPERATORS:
            raise InvalidRequestError(f"{condition!r}: (column, operator, value) with one of {', '.join(_OPERATORS)}")
        name, operator, *value = condition
        one = {"column": name, "operator": _OPERATORS[operator], **({"value": value[0]} if value else {})}
        ParseDict(one, request.filters.add())
    for column in order:
        request.order.add(column=column[column.startswith(("+", "-")) :], descending=column.startswith("-"))
    first = response = api.ask("GetTable", request)
    rows, numbers = json.loads(response.rows_json), list(response.row_numbers)
    while response.next_page_token and (limit is None or len(rows) < limit):
        request.page_token = response.next_page_token
        response = api.ask("GetTable", request)
        rows += json.loads(response.rows_json)
        numbers += response.row_numbers
    return StoredTable(
        key=key,
        step=first.step,
        rank=first.rank,
        columns=[column.name for column in first.columns],
        types=[column.type for column in first.columns],
        rows=[[_restored(cell) for cell in row] for row in rows[:limit]],
        row_numbers=numbers[:limit],
        total_rows=first.total_rows,
        matching_rows=first.matching_rows,
        plot=json.loads(first.plot_json or "{}"),
    )


def plot(api: Connection, run: RunReference, key: str, step: int | None, rank: int | None) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict

    from runstream_proto.v1 import rich_pb2 as pb

    response = api.ask("GetPlot", pb.GetPlotRequest(**of(run), key=key, step=step, rank=rank))
    return {
        "type": response.type,
        "title": response.title,
        "step": response.step,
        "rank": response.rank,
        "fields": dict(response.fields),
        "series": [
            {"name": one.name, "x": list(one.labels) or list(one.xs), "y": list(one.ys), "area": one.area}
            for one in response.series
        ],
        "bins": {"edges": list(response.bins.edges), "counts": list(response.bins.counts)},
        "confusion": MessageToDict(response.confusion, preserving_proto_field_name=True),
    }


def media(api: Connection, run: RunReference, prefix: str, options: Mapping[str, Any]) -> Iterator[StoredFile]:
    from runstream_proto.v1 import rich_pb2 as pb

    rank = options["rank"]
    request = pb.ListMediaRequest(
        **of(run),
        prefix=prefix,
        ranks=[] if rank is None else [rank],
        types=[options["type"]] if options["type"] else [],
        min_step=options["min_step"],
        max_step=options["max_step"],
        at_step=options["at_step"],
    )
    for item in pages(api, "ListMedia", request, "items"):
        yield StoredFile(
            name=item.key,
            media_type=item.media_type,
            sha256=item.sha256,
            size_bytes=item.size_bytes,
            rank=item.rank,
            step=item.step,
            index=item.index,
            caption=item.caption,
            metadata=json.loads(item.metadata_json or "{}"),
            category="media",
            _api=api,
            _path=item.path,
        )


def files(api: Connection, run: RunReference, prefix: str, category: str) -> Iterator[StoredFile]:
    from runstream_proto.v1 import rich_pb2 as pb

    request = pb.ListFilesRequest(**of(run), prefix=prefix, category=category)
    for item in pages(api, "ListFiles", request, "files"):
        yield StoredFile(
            name=item.name,
            media_type=item.media_type,
            sha256=item.sha256,
            size_bytes=item.size_bytes,
            rank=item.rank,
            step=0,
            index=0,
            caption="",
            metadata={},
            category=item.category,
            _api=api,
            _path=item.path,
        )


def texts(api: Connection, run: RunReference, key: str) -> Iterator[dict[str, Any]]:
    from runstream_proto.v1 import rich_pb2 as pb

    request = pb.GetTextsRequest(**of(run), keys=[key], page_size=1000)
    for item in pages(api, "GetTexts", request, "texts"):
        yield {"step": item.step, "rank": item.rank, "text": item.text, "time_us": item.time_us}


def alerts(api: Connection, run: RunReference, level: str) -> Iterator[dict[str, Any]]:
    from runstream_proto.v1 import rich_pb2 as pb

    request = pb.ListAlertsRequest(**of(run), levels=[level] if level else [])
    for item in pages(api, "ListAlerts", request, "alerts"):
        yield {
            "level": item.level,
            "title": item.title,
            "text": item.text,
            "rank": item.rank,
            "time_us": item.time_us,
        }


def console(api: Connection, run: RunReference, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    from runstream_proto.v1 import rich_pb2 as pb

    rank, newest = options["rank"], options["newest"]
    request = pb.GetConsoleRequest(
        **of(run),
        ranks=[] if rank is None else [rank],
        output=options["output"],
        search=options["search"],
        regex=options["regex"],
        match_case=options["match_case"],
        forward=newest is None,
        page_size=10_000 if newest is None else min(newest, 10_000),
    )
    if newest is None:
        yield from (_line(row) for row in pages(api, "GetConsole", request, "lines"))
        return
    parts: list[list[pb.ConsoleRow]] = []
    while newest > sum(map(len, parts)):
        response = api.ask("GetConsole", request)
        parts.insert(0, list(response.lines))
        if not response.next_page_token:
            break
        request.page_token = response.next_page_token
    yield from [_line(row) for part in parts for row in part][-newest:]


def _line(row: pb.ConsoleRow) -> dict[str, Any]:
    return {
        "text": row.text,
        "rank": row.rank,
        "output": row.output,
        "line": row.line,
        "writer": row.writer_id,
        "time_us": row.time_us,
    }


def _restored(cell: object) -> object:
    return SPECIAL.get(cell, cell) if isinstance(cell, str) else cell
