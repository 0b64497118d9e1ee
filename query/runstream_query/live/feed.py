"""Feed one project's watchers: a single loop polls ClickHouse, whatever the number of watchers."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from runstream_common.clickhouse.client import StorageError
from runstream_common.service.logging import limited_warning
from runstream_proto.v1 import live_pb2 as pb
from runstream_query.base.storage import Storage
from runstream_query.live import limits
from runstream_query.live.arrivals import Arrival, SeenBatches
from runstream_query.live.collector import Collector, PollOverflowError
from runstream_query.live.entry import FeedEntry, split
from runstream_query.live.interest import Interest, wanted_of
from runstream_query.live.ring import Ring
from runstream_query.live.state_changes import StateChanges
from runstream_query.runs.lookup import Lookup

LOG = structlog.get_logger()
_COLUMNS = tuple(Arrival.__slots__)


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The state of the runs, shared by watchers that join at about the same time, as after a server's restart."""

    number: int
    """The number of the newest entry in this state: its receiver reads on after it."""
    taken_s: float
    states: asyncio.Future[list[pb.RunChange]]


@dataclass(slots=True)
class _Held:
    """An interest that the loop serves."""

    since: int
    """Entries behind this number hold all that the interest wants."""
    watchers: int = 0
    idle_since_s: float = 0.0
    snapshot: _Snapshot | None = None


class Feed:
    """The feed of one project, made by the hub. `ring_bytes()` returns this feed's share of memory, in bytes."""

    def __init__(self, storage: Storage, lookup: Lookup, project: str, ring_bytes: Callable[[], int]) -> None:
        self.project = project
        self.name = uuid.uuid4().hex[:12]
        """The name of this feed in this process: event ids of other feeds are not valid here."""
        self.ring = Ring()
        self.news = asyncio.Event()
        """Set when the next entry is there, and then replaced."""
        self._storage = storage
        self._collector = Collector(storage, project)
        self._lookup = lookup
        self._states = StateChanges(storage, lookup, project)
        self._ring_bytes = ring_bytes
        self._interests: dict[Interest, _Held] = {}
        self._seen = SeenBatches()
        self._pending: dict[str, list[Arrival]] = defaultdict(list)
        """By run, batches in the ledger that are not read yet."""
        self._dirty: set[str] = set()
        """Runs in which documents arrived, so that their states may have changed."""
        self._pending_resets: dict[str, str] = {}
        self._reset_s: dict[str, float] = {}
        self._ledger_read_s = self._far_s = self._swept_s = self._answered_s = time.monotonic()
        self.joining = 0
        """How many watchers are about to join; the loop waits for them."""
        self._begun = asyncio.Lock()
        self._has_begun = False

    # ------------------------------------------------------------------ for the hub

    async def begin(self) -> None:
        """Mark all stored batches as seen, so that they are not reported as new. Raise StorageError."""
        async with self._begun:
            if not self._has_begun:
                await self._read_ledger(limits.FAR_S)
                self._has_begun = True

    async def join(self, interest: Interest, after: str) -> tuple[int, pb.WatchRunsResponse | None]:
        """Return the number after which to read, and the first response; None if the stream continues without a gap.

        Raise UnknownNameError, StorageError. After a join the caller must call `leave`.
        """
        held = self._interests.get(interest)
        number = self._number(after)
        resumes = held is not None and number is not None and number >= held.since and self.ring.has(number)
        if held is None:
            held = self._interests[interest] = _Held(self.ring.last)
        held.watchers += 1
        if resumes and number is not None:
            return number, None
        try:
            number, states = await self._snapshot(interest, held)
        except BaseException:
            self.leave(interest)
            if not held.watchers:  # no watcher got an event id to continue from
                self._interests.pop(interest, None)
            raise
        first = pb.WatchRunsResponse(event_id=self.event_id(number), runs=states)
        if after:
            first.reset.reason = "the events after this id are no longer kept: reload the view"
        return number, first

    async def _snapshot(self, interest: Interest, held: _Held) -> tuple[int, list[pb.RunChange]]:
        now_s = time.monotonic()
        found = held.snapshot
        if found is None or now_s - found.taken_s > limits.POLL_S or not self.ring.has(found.number):
            states = asyncio.ensure_future(self._states.watch(interest.runs))
            states.add_done_callback(lambda one: one.cancelled() or one.exception())  # seen, if no waiter is left
            found = held.snapshot = _Snapshot(self.ring.last, now_s, states)
        try:
            states_now = await asyncio.shield(found.states)
            unknown = interest.runs - {change.run for change in states_now}
            if unknown:
                await self._lookup.known_runs(self.project, sorted(unknown))
        except Exception:
            held.snapshot = None
            raise
        return found.number, states_now

    def leave(self, interest: Interest) -> None:
        held = self._interests[interest]
        held.watchers -= 1
        held.idle_since_s = time.monotonic()

    def event_id(self, number: int) -> str:
        return f"{self.name}-{number}"

    @property
    def watched(self) -> bool:
        """Whether a watcher is connected or may reconnect."""
        return bool(self._interests) or self.joining > 0

    @property
    def behind_s(self) -> float:
        """Seconds since ClickHouse last answered; 0 when it answers in time."""
        silent_s = time.monotonic() - self._answered_s
        return silent_s if silent_s > 4 * limits.POLL_S else 0.0

    # ------------------------------------------------------------------ the loop

    async def run(self) -> None:
        """Poll until no watcher is left."""
        while self.watched:
            started_s = time.monotonic()
            try:
                await self._turn()
                self._answered_s = time.monotonic()
            except StorageError as error:
                limited_warning(LOG, "live: ClickHouse does not answer", 60.0, project=self.project, reason=str(error))
            except Exception as error:  # the loop's boundary: the next poll tries again
                LOG.error("live: reading the news of a project failed", project=self.project, exc_info=error)
            self._forget_idle()
            await asyncio.sleep(max(limits.POLL_S - (time.monotonic() - started_s), 0.05))

    async def _turn(self) -> None:
        await self.begin()
        now_s = time.monotonic()
        far = now_s - self._far_s >= limits.FAR_EVERY_S
        await self._read_ledger(limits.FAR_S if far else limits.NEAR_S)
        if far:
            self._far_s = now_s
        entry = FeedEntry()
        try:
            await self._read(entry)
            await self._read_states(entry)
        finally:
            self._add_resets(entry)
            if not entry.empty:
                for part in split(entry):
                    self.ring.append(part, self._ring_bytes())
                news, self.news = self.news, asyncio.Event()
                news.set()

    async def _read_ledger(self, back_s: float) -> None:
        """Read from the ledger the batches that were not seen yet.

        Before the first poll they are only marked as seen.
        """
        now_s = time.monotonic()
        reach_s = self._seen.reach_s(back_s + (now_s - self._ledger_read_s), now_s)
        columns = await self._storage.columns(
            "live_arrivals",
            project=self.project,
            ago_us=int(max(reach_s, limits.POLL_S) * 1e6),
            limit=limits.MAX_ARRIVALS,
        )
        rows = zip(*(columns[name].tolist() for name in _COLUMNS), strict=True)
        fresh = self._seen.fresh((Arrival(*row) for row in rows), now_s)
        self._ledger_read_s = now_s
        too_many = len(columns["run"]) >= limits.MAX_ARRIVALS
        if too_many:
            self._seen.floor_s = now_s
        if not self._has_begun:
            return
        if too_many:
            self._pending_resets[""] = f"more than {limits.MAX_ARRIVALS} batches arrived at once: reload the view"
        wanted = {run for interest in self._interests for run in interest.runs}
        for arrival in fresh:
            if arrival.run in wanted:
                self._pending[arrival.run].append(arrival)
            if arrival.documents:
                self._dirty.add(arrival.run)

    async def _read(self, entry: FeedEntry) -> None:
        """Read the pending batches into the entry; those that cannot be read now stay pending."""
        if sum(map(len, self._pending.values())) > limits.MAX_ARRIVALS:
            self._pending_resets[""] = "too many batches arrived while ClickHouse did not answer: reload the view"
            self._pending.clear()
        for run, arrivals in list(self._pending.items()):
            wanted = wanted_of(run, self._interests)
            try:
                if wanted is not None:
                    found = await self._collector.collect(run, arrivals, wanted)
                    for name in ("pieces", "fields", "keys", "console", "alerts"):
                        getattr(entry, name).extend(getattr(found, name))
            except PollOverflowError as error:
                self._pending_resets[run] = f"{error}: reload the run"
            del self._pending[run]

    async def _read_states(self, entry: FeedEntry) -> None:
        now_s = time.monotonic()
        if self._dirty:
            entry.runs.extend(await self._states.changed(list(self._dirty)))
            self._dirty.clear()
        if now_s - self._swept_s >= limits.SWEEP_S:
            entry.runs.extend(await self._states.swept())
            self._swept_s = now_s

    def _add_resets(self, entry: FeedEntry) -> None:
        now_s = time.monotonic()
        for run in list(self._pending_resets):
            if now_s - self._reset_s.get(run, -limits.RESET_EVERY_S) >= limits.RESET_EVERY_S:
                entry.resets[run] = self._pending_resets.pop(run)
                self._reset_s[run] = now_s

    def _forget_idle(self) -> None:
        now_s = time.monotonic()
        idle = [(held.idle_since_s, interest) for interest, held in self._interests.items() if not held.watchers]
        idle.sort(key=lambda one: one[0], reverse=True)
        for place, (idle_since_s, interest) in enumerate(idle):
            if place >= limits.MAX_LINGERING or now_s - idle_since_s > limits.LINGER_S:
                del self._interests[interest]

    def _number(self, event_id: str) -> int | None:
        """Return the number in an event id; None for an id of another feed, or if there is none."""
        name, _, number = event_id.partition("-")
        ours = name == self.name and number.isascii() and number.isdecimal() and len(number) < 19
        return int(number) if ours else None
