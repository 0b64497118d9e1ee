"""The parts of the sweeps' service, put together."""

from __future__ import annotations

from runstream_common.control.store import ControlStore
from runstream_common.control.sweeps.store import SweepStore
from runstream_common.metrics import Metrics
from runstream_query.lookup import Lookup
from runstream_query.storage import Storage
from runstream_query.sweeps.agency import Agency
from runstream_query.sweeps.book import Book
from runstream_query.sweeps.keeper import Keeper
from runstream_query.sweeps.suggesting import Thinker
from runstream_query.topics.standings import Standings
from runstream_query.topics.sweeps import Sweeps
from runstream_query.topics.trials import Trials


class SweepService:
    """`topics` have the methods of the service; `keeper` is to run beside them."""

    def __init__(self, storage: Storage, store: ControlStore, lookup: Lookup, metrics: Metrics) -> None:
        sweeps = SweepStore.beside(store)
        self._thinker = Thinker(metrics)
        book = Book(sweeps, self._thinker)
        agency = Agency(sweeps, book, metrics)
        self.topics: tuple[object, ...] = (
            Sweeps(sweeps, lookup, book, agency),
            Trials(storage, sweeps, lookup, book, agency),
            Standings(sweeps, book),
        )
        self.keeper = Keeper(sweeps, storage, lookup, book, metrics, agency.wake)

    def close(self) -> None:
        self._thinker.close()
