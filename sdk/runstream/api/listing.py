"""The runs of a project, read one page at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, overload

from runstream.api.convert import as_list, split_path
from runstream.api.runs import STATES, StoredRun
from runstream.errors import InvalidRequestError

if TYPE_CHECKING:
    from typing import Unpack

    from runstream.api.connection import Connection
    from runstream.api.exporting import ExportOptions

_SNAKE = {
    "created_at": "createdAt",
    "heartbeat_at": "heartbeatAt",
    "display_name": "displayName",
    "job_type": "jobType",
}
"""Maps the names of W&B's attributes to the fields of its filters."""


class RunsOptions(TypedDict, total=False):
    """The options of `Api.runs`, which it describes."""

    filters: Mapping[str, object] | str | None
    order: str | Sequence[str]
    per_page: int
    state: str
    search: str
    fields: Sequence[str]


class StoredRuns(Sequence[StoredRun]):
    """Runs in order. A page is requested when its first run is wanted. `len()` counts the runs on all pages.

    Use it as `for run in runs`, `runs[3]`, `runs[-1]`, `runs[:10]` or `next(runs)`. Runs that were read are kept:
    another iteration needs no request. Only one thread at a time may use it.
    """

    def __init__(
        self,
        api: Connection,
        path: str,
        filters: Mapping[str, object] | str | None = None,
        order: str | Sequence[str] = "+created_at",
        per_page: int = 50,
        state: str = "",
        search: str = "",
        fields: Sequence[str] = (),
    ) -> None:
        """Keep the arguments, which `Api.runs` describes, without a request to the server.

        Raises InvalidRequestError.
        """
        from runstream_proto.v1 import query_pb2 as pb

        if state and state not in STATES:
            raise InvalidRequestError(f"state is {state!r}: use one of {', '.join(STATES)}")
        if not 1 <= per_page <= 1000:
            raise InvalidRequestError(f"per_page is {per_page}: give 1 to 1000")
        team, project = split_path(path, 2)
        self._api = api
        self._request = pb.ListRunsRequest(
            team=team,
            project=project,
            state=STATES.get(state, 0),  # type: ignore[arg-type]  # the enum's numbers
            search=search,
            page_size=per_page,
            filter=filter_json(filters),
            order=[_field(key) for key in as_list(order) if key],
            fields=fields,
        )
        self._runs: list[StoredRun] = []
        self._total: int | None = None
        self._more = True
        self._next = 0

    def __len__(self) -> int:
        if self._total is None:
            self._load()
        return self._total or 0

    def __iter__(self) -> Iterator[StoredRun]:
        place = 0
        while self._has(place):
            yield self._runs[place]
            place += 1

    def __next__(self) -> StoredRun:
        """Return the next run with each call, as W&B does."""
        if not self._has(self._next):
            raise StopIteration
        self._next += 1
        return self._runs[self._next - 1]

    @overload
    def __getitem__(self, index: int) -> StoredRun: ...

    @overload
    def __getitem__(self, index: slice) -> list[StoredRun]: ...

    def __getitem__(self, index: int | slice) -> StoredRun | list[StoredRun]:
        if isinstance(index, slice):
            places = range(*index.indices(len(self)))
            if places:
                self._has(max(places))
            return self._runs[index]
        place = index if index >= 0 else len(self) + index
        if place < 0 or not self._has(place):
            raise IndexError(f"there are {len(self)} runs")
        return self._runs[place]

    def histories(
        self,
        samples: int = 500,
        keys: Sequence[str] | str | None = None,
        x_axis: str = "_step",
        format: str = "default",  # W&B's name
        bands: bool = False,
    ) -> Any:
        """Return the curves of all these runs, in few requests; see `runstream.api.histories.histories`."""
        from runstream.api.histories import histories

        return histories(self._api, list(self), samples=samples, keys=keys, x_axis=x_axis, kind=format, bands=bands)

    def export(
        self, path: str | Path, keys: Sequence[str] | str | None = None, **options: Unpack[ExportOptions]
    ) -> int:
        """Write the full history of all these runs to one file; see `StoredRun.export`. Return its size in bytes."""
        from runstream.api.exporting import export_points

        request = self._request
        if not len(self):
            raise InvalidRequestError("there are no runs to export")
        ids = [run.id for run in self]
        return export_points(self._api, request.team, request.project, ids, Path(path), keys, **options)

    def _has(self, place: int) -> bool:
        while place >= len(self._runs) and self._more:
            self._load()
        return place < len(self._runs)

    def _load(self) -> None:
        response = self._api.ask("ListRuns", self._request)
        self._runs += [StoredRun(self._api, found) for found in response.runs]
        self._total = response.total if self._total is None else max(self._total, len(self._runs))
        self._request.page_token = response.next_page_token
        self._more = bool(response.next_page_token)

    def __repr__(self) -> str:
        return f"Runs({self._request.project!r}, {len(self)} runs)"


def filter_json(filters: Mapping[str, object] | str | None) -> str:
    """Return filters as the server takes them. Raises InvalidRequestError."""
    if not filters:
        return ""
    if isinstance(filters, str):
        return filters
    try:
        return json.dumps(filters)
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(f"the filters cannot be written as JSON: {error}") from error


def _field(key: str) -> str:
    sign, name = (key[0], key[1:]) if key[0] in "+-" else ("", key)
    return sign + _SNAKE.get(name, name)
