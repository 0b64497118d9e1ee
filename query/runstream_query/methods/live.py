"""Streams new data while it arrives."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from runstream_control.principal import Principal
from runstream_proto.v1 import live_pb2 as pb
from runstream_query.base.errors import InvalidRequestError
from runstream_query.live import limits
from runstream_query.live.hub import Hub
from runstream_query.live.interest import Interest
from runstream_query.runs.lookup import Lookup


class LiveMethods:
    def __init__(self, lookup: Lookup, hub: Hub) -> None:
        self._lookup = lookup
        self._hub = hub

    async def WatchRuns(
        self, principal: Principal, request: pb.WatchRunsRequest
    ) -> AsyncIterator[pb.WatchRunsResponse]:
        project = await self._lookup.project(principal, request.team, request.project)
        responses = self._hub.watch(principal.user, project, _interest(request), request.after)
        async with contextlib.aclosing(responses):
            async for response in responses:
                yield response


def _interest(request: pb.WatchRunsRequest) -> Interest:
    """Return what a request watches. Raises InvalidRequestError."""
    for what, values, most in (
        ("runs", request.runs, limits.MAX_RUNS),
        ("metrics", request.metrics, limits.MAX_METRICS),
        ("ranks", request.ranks, limits.MAX_RANKS),
        ("console_ranks", request.console_ranks, limits.MAX_RANKS),
    ):
        if len(values) > most:
            raise InvalidRequestError(f"{what}: {len(values)} are given, at most {most} are watched in one stream")
    if not request.runs and (request.metrics or request.console):
        raise InvalidRequestError("runs is empty: name the runs whose metrics or console you want to watch")
    return Interest(
        runs=frozenset(request.runs),
        metrics=tuple(sorted(set(request.metrics))),
        ranks=frozenset(request.ranks),
        console=request.console,
        console_ranks=frozenset(request.console_ranks) if request.console else frozenset(),
    )
