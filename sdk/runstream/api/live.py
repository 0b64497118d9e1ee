"""`Api.watch`: what arrives, as it arrives; goes on by itself after the connection was lost."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from runstream.api.convert import as_list, split_path
from runstream.api.errors import translated

if TYPE_CHECKING:
    from runstream.api.client import Api

_RETRY_MIN_S, _RETRY_MAX_S = 0.2, 10.0


def watch(
    api: Api,
    path: str,
    runs: Sequence[str] | str,
    metrics: Sequence[str] | str,
    ranks: Sequence[int],
    console: bool,
    signs_of_life: bool,
) -> Iterator[Any]:
    """See `Api.watch`."""
    import grpc

    from runstream_proto.v1 import live_pb2 as pb

    team, project = split_path(path, 2)
    request = pb.WatchRunsRequest(
        team=team, project=project, runs=as_list(runs), metrics=as_list(metrics), ranks=ranks, console=console
    )
    again = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    delay_s = _RETRY_MIN_S
    while True:
        call = api.stream("WatchRuns", request, timeout_s=None)
        try:
            for response in call:
                delay_s = _RETRY_MIN_S
                request.after = response.event_id
                # A sign of life says nothing but its id.
                if signs_of_life or len(response.ListFields()) > 1:
                    yield response
            return
        except grpc.RpcError as error:
            # Before the first response it is the question, or the address, that is wrong.
            if error.code() not in again or not request.after:
                raise translated(error) from None
        finally:
            call.cancel()
        time.sleep(delay_s)
        delay_s = min(delay_s * 2, _RETRY_MAX_S)
