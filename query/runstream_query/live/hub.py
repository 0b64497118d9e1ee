"""Hold all feeds of this instance, and the watchers that read them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncGenerator

from runstream_proto.v1 import live_pb2 as pb
from runstream_query.base.caller import CALLER
from runstream_query.base.errors import GoingAwayError, TooManyWatchersError
from runstream_query.base.storage import Storage
from runstream_query.live import limits
from runstream_query.live.feed import Feed
from runstream_query.live.interest import Interest
from runstream_query.runs.lookup import Lookup


class Hub:
    """All feeds of this instance.

    A watcher holds a number, never a queue: a slow one falls behind the ring, and gets a reset.
    """

    def __init__(self, storage: Storage, lookup: Lookup) -> None:
        self._storage = storage
        self._lookup = lookup
        self._feeds: dict[str, tuple[Feed, asyncio.Task[None]]] = {}
        self._watchers: Counter[str] = Counter()
        """How many watchers each user has."""
        self._closing = asyncio.Event()

    async def watch(
        self, user: str, project: str, interest: Interest, after: str
    ) -> AsyncGenerator[pb.WatchRunsResponse]:
        """Yield responses until the caller closes the generator.

        Watchers are counted by `user`; `after` is the event id to continue behind. Raise UnknownNameError,
        TooManyWatchersError, GoingAwayError, StorageError.
        """
        if self._closing.is_set():
            raise GoingAwayError
        if self._watchers[user] >= limits.MAX_WATCHERS_A_USER or self._watchers.total() >= limits.MAX_WATCHERS:
            raise TooManyWatchersError(
                f"at most {limits.MAX_WATCHERS_A_USER} streams of one user and {limits.MAX_WATCHERS} in all are open "
                "at once: close one, or watch more runs in one"
            )
        self._watchers[user] += 1
        try:
            feed = self._feed(project)
            feed.joining += 1
            try:
                await feed.begin()
                number, first = await feed.join(interest, after)
            finally:
                feed.joining -= 1
            try:
                if first is not None:
                    yield first
                following = self._follow(feed, interest, number, just_sent=first is not None)
                async with contextlib.aclosing(following) as responses:
                    async for response in responses:
                        yield response
            finally:
                feed.leave(interest)
        finally:
            self._watchers[user] -= 1
            if not self._watchers[user]:
                del self._watchers[user]

    async def close(self) -> None:
        """End all watchers and all feeds."""
        self._closing.set()
        tasks = [task for _, task in self._feeds.values()]
        for feed, task in self._feeds.values():
            task.cancel()
            feed.news.set()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def watchers(self) -> int:
        return self._watchers.total()

    async def _follow(
        self, feed: Feed, interest: Interest, number: int, *, just_sent: bool
    ) -> AsyncGenerator[pb.WatchRunsResponse]:
        """Yield the responses behind this number.

        `just_sent` means that a response was just sent; otherwise a heartbeat is due at once.
        """
        sent_s = time.monotonic() - (0.0 if just_sent else limits.HEARTBEAT_S)
        while True:
            if self._closing.is_set():
                raise GoingAwayError
            news = feed.news
            response: pb.WatchRunsResponse | None
            if not feed.ring.has(number):
                number = feed.ring.last
                reset = pb.Reset(reason="this client reads more slowly than events arrive: reload the view")
                response = pb.WatchRunsResponse(event_id=feed.event_id(number), reset=reset)
            elif (entry := feed.ring.after(number)) is not None:
                number = entry.number
                response = entry.response(interest, feed.event_id(number))
            else:
                try:
                    left_s = sent_s + limits.HEARTBEAT_S - time.monotonic()
                    await asyncio.wait_for(news.wait(), max(left_s, 0.0))
                    continue
                except TimeoutError:
                    response = None
            if response is None and time.monotonic() - sent_s >= limits.HEARTBEAT_S:
                response = pb.WatchRunsResponse(event_id=feed.event_id(number), behind_s=feed.behind_s)
            if response is not None:
                yield response
                sent_s = time.monotonic()

    def _feed(self, project: str) -> Feed:
        found = self._feeds.get(project)
        if found is not None and not found[1].done():
            return found[0]
        feed = Feed(self._storage, self._lookup, project, self._share)
        self._feeds[project] = feed, asyncio.create_task(self._run(feed))
        return feed

    async def _run(self, feed: Feed) -> None:
        """Run the feed, and remove it when it ends.

        There is no await between its last check for watchers and its removal, so nobody joins a dead feed.
        """
        CALLER.set(None)  # the feed is not work of the user who happened to watch first
        try:
            await feed.run()
        finally:
            if self._feeds.get(feed.project, (None,))[0] is feed:
                del self._feeds[feed.project]

    def _share(self) -> int:
        return min(limits.RING_BYTES, limits.ALL_RINGS_BYTES // max(len(self._feeds), 1))
