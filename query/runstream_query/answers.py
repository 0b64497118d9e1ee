"""Implements `QueryService`, `SweepService` and `AccountService` without a transport: one method for each RPC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runstream_common.control.own_keys import OwnKeys
from runstream_common.control.store import ControlStore, Principal
from runstream_common.metrics import Metrics
from runstream_query.deletion import Deletion
from runstream_query.editing.edits import Edits
from runstream_query.live.hub import Hub
from runstream_query.lookup import Lookup
from runstream_query.selection.tables import Tables
from runstream_query.sqlaccess.runner import SqlRunner
from runstream_query.storage import Storage
from runstream_query.sweeps.service import SweepService
from runstream_query.topics.account import Account
from runstream_query.topics.changes import Changes
from runstream_query.topics.comparing import Comparing
from runstream_query.topics.curves import Curves
from runstream_query.topics.distributions import Distributions
from runstream_query.topics.editing import Editing
from runstream_query.topics.explaining import Explaining
from runstream_query.topics.exporting import Exporting
from runstream_query.topics.fields import Fields
from runstream_query.topics.listing import Listing
from runstream_query.topics.live import Live
from runstream_query.topics.ranking import Ranking
from runstream_query.topics.ranks import Ranks
from runstream_query.topics.records import Records
from runstream_query.topics.runs import Runs
from runstream_query.topics.saved import SavedTopic
from runstream_query.topics.sql import Sql


class Answers:
    """Has the methods of the three services as attributes; each comes from the module of `topics/` that defines it.

    `await answers.ListRuns(principal, request)` returns the response. A method that streams is an async generator of
    responses. All methods raise QueryError, StorageError, ControlError.
    """

    def __init__(
        self,
        storage: Storage,
        store: ControlStore,
        deletion: Deletion,
        crash_after_s: float = 300.0,
        sql: SqlRunner | None = None,
        metrics: Metrics | None = None,
        tables: Tables | None = None,
    ) -> None:
        """Create the services.

        `crash_after_s`: a run that did not finish, and from which the server has heard nothing for so many seconds,
        counts as crashed. `sql`: None where the server answers no SQL. `metrics`: None where nobody measures. `tables`:
        None for tables with the default amount of memory.
        """
        self._lookup = Lookup(storage, store, crash_after_s, tables or Tables(storage))
        listing = Listing(storage, self._lookup)
        self.hub = Hub(storage, self._lookup)
        self.sweeps = SweepService(storage, store, self._lookup, metrics or Metrics(["query"]))
        self._topics: tuple[object, ...] = (
            Runs(storage, store, self._lookup),
            listing,
            Fields(storage, self._lookup),
            Comparing(storage, self._lookup),
            Explaining(storage, self._lookup),
            Curves(storage, self._lookup),
            Ranks(storage, self._lookup),
            Ranking(storage, self._lookup),
            Distributions(storage, self._lookup, deletion.media),
            Records(storage, self._lookup),
            Live(self._lookup, self.hub),
            Changes(store, self._lookup, deletion),
            Editing(storage, store, self._lookup, Edits(storage, store, deletion)),
            SavedTopic(store, self._lookup),
            Sql(self._lookup, sql),
            Exporting(storage, self._lookup, listing),
            *self.sweeps.topics,
            Account(OwnKeys.beside(store), self._lookup),
        )

    def __getattr__(self, method: str) -> Callable[[Principal, Any], Any]:
        """Return the method of this name. Raises AttributeError where no topic has it."""
        for topic in self.__dict__.get("_topics", ()):
            if not method.startswith("_") and hasattr(topic, method):
                found: Callable[[Principal, Any], Any] = getattr(topic, method)
                self.__dict__[method] = found  # found once, then an attribute like any other
                return found
        raise AttributeError(f"no topic answers {method}")

    async def close(self) -> None:
        """End the background work: streams that only their callers end."""
        self.sweeps.close()
        await self.hub.close()

    async def project(self, principal: Principal, team: str, project: str) -> str:
        """Return `team/project`. The project exists and the caller may read it."""
        return await self._lookup.project(principal, team, project)
