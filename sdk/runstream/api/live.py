"""`Api.watch`: receive what arrives in a project, and reconnect after the connection was lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from runstream.api.connection import Connection, translated
from runstream.api.convert import as_list, split_path

if TYPE_CHECKING:
    from runstream_proto.v1 import live_pb2 as pb

_RETRY_MIN_S, _RETRY_MAX_S = 0.2, 10.0


class Watch:
    """An iterator over live responses. `close()` ends it, from any thread; leaving a `with` block ends it too."""

    def __init__(
        self,
        api: Connection,
        path: str,
        runs: Sequence[str] | str,
        metrics: Sequence[str] | str,
        ranks: Sequence[int],
        console: bool,
        signs_of_life: bool,
    ) -> None:
        """Keep the arguments, which `Api.watch` describes. The request is sent when the first response is wanted."""
        from runstream_proto.v1 import live_pb2 as pb

        team, project = split_path(path, 2)
        self._api = api
        self._request = pb.WatchRunsRequest(
            team=team, project=project, runs=as_list(runs), metrics=as_list(metrics), ranks=ranks, console=console
        )
        self._signs_of_life = signs_of_life
        self._closed = threading.Event()
        self._call: Any = None
        self._responses = self._watch()

    def __iter__(self) -> Iterator[pb.WatchRunsResponse]:
        return self

    def __next__(self) -> pb.WatchRunsResponse:
        """Return the next `WatchRunsResponse`; raise StopIteration once the watch is closed. Raises ApiError."""
        return next(self._responses)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the watch. The call may be repeated."""
        self._closed.set()
        if self._call is not None:
            self._call.cancel()

    def _watch(self) -> Iterator[pb.WatchRunsResponse]:
        import grpc

        # CANCELLED that did not come from us means: the service ended, and cut off the calls that were open.
        again = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
        delay_s = _RETRY_MIN_S
        while not self._closed.is_set():
            self._call = self._api.call("WatchRuns", self._request)
            try:
                for response in self._call:
                    delay_s = _RETRY_MIN_S
                    self._request.after = response.event_id
                    # A sign of life holds only its event id.
                    if self._signs_of_life or len(response.ListFields()) > 1:
                        yield response
                    if self._closed.is_set():
                        return
            except grpc.RpcError as error:
                if self._closed.is_set():
                    return
                # Before the first response an error means that the request, or the address, is wrong.
                if error.code() not in again or not self._request.after:
                    raise translated(error) from None
            finally:
                self._call.cancel()
            self._closed.wait(delay_s)
            delay_s = min(delay_s * 2, _RETRY_MAX_S)
