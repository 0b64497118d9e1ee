"""Implements `QueryService`, `SweepService` and `AccountService` without a transport: one method for each RPC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runstream_common.service.metrics import Metrics
from runstream_control.control_store import ControlStore
from runstream_control.principal import Principal
from runstream_control.user_api_keys import UserApiKeys
from runstream_query.base.storage import Storage
from runstream_query.live.hub import Hub
from runstream_query.methods.account import AccountMethods
from runstream_query.methods.comparing import ComparisonMethods
from runstream_query.methods.curves import CurveMethods
from runstream_query.methods.deletion import DeletionMethods
from runstream_query.methods.editing import EditingMethods
from runstream_query.methods.explaining import ExplanationMethods
from runstream_query.methods.exporting import ExportMethods
from runstream_query.methods.fields import FieldMethods
from runstream_query.methods.listing import ListingMethods
from runstream_query.methods.live import LiveMethods
from runstream_query.methods.rank_queries import RankMethods
from runstream_query.methods.ranking import RankingMethods
from runstream_query.methods.records import RecordMethods
from runstream_query.methods.rich_data import RichDataMethods
from runstream_query.methods.runs import RunMethods
from runstream_query.methods.saved import SavedMethods
from runstream_query.methods.sql import SqlMethods
from runstream_query.methods.sweep_service import SweepService
from runstream_query.runs.deletion import Deletion
from runstream_query.runs.editing.edits import Edits
from runstream_query.runs.lookup import Lookup
from runstream_query.runs.selection.run_tables import RunTables
from runstream_query.sqlaccess.sql_runner import SqlRunner


class QueryService:
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
        tables: RunTables | None = None,
    ) -> None:
        """Create the services.

        `crash_after_s`: a run that did not finish, and from which the server has heard nothing for so many seconds,
        counts as crashed. `sql`: None where the server answers no SQL. `metrics`: None where nobody measures. `tables`:
        None for tables with the default amount of memory.
        """
        self._lookup = Lookup(storage, store, crash_after_s, tables or RunTables(storage))
        listing = ListingMethods(storage, self._lookup)
        self.hub = Hub(storage, self._lookup)
        self.sweeps = SweepService(storage, store, self._lookup, metrics or Metrics(["query"]))
        self._topics: tuple[object, ...] = (
            RunMethods(storage, store, self._lookup),
            listing,
            FieldMethods(storage, self._lookup),
            ComparisonMethods(storage, self._lookup),
            ExplanationMethods(storage, self._lookup),
            CurveMethods(storage, self._lookup),
            RankMethods(storage, self._lookup),
            RankingMethods(storage, self._lookup),
            RichDataMethods(storage, self._lookup, deletion.media),
            RecordMethods(storage, self._lookup),
            LiveMethods(self._lookup, self.hub),
            DeletionMethods(store, self._lookup, deletion),
            EditingMethods(storage, store, self._lookup, Edits(storage, store, deletion)),
            SavedMethods(store, self._lookup),
            SqlMethods(self._lookup, sql),
            ExportMethods(storage, self._lookup, listing),
            *self.sweeps.topics,
            AccountMethods(UserApiKeys.beside(store), self._lookup),
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
