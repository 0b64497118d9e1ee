"""Implements the services of the contract without a transport, and lists their methods in one table."""

from __future__ import annotations

from collections.abc import Iterator

from runstream_common.service.metrics import Metrics
from runstream_control.control_store import ControlStore
from runstream_control.principal import Principal
from runstream_control.user_api_keys import UserApiKeys
from runstream_proto.v1 import account_pb2, curves_pb2, export_pb2, live_pb2, rich_pb2, saved_pb2, sql_pb2
from runstream_proto.v1 import query_pb2 as pb
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
from runstream_query.methods.method_table import MethodTable, Queue, ServiceEntries, StreamingMethod, UnaryMethod
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

_QUERY = ServiceEntries(pb.DESCRIPTOR.services_by_name["QueryService"])


class QueryService:
    """Holds the handlers of all services, in groups, and the table of their methods.

    `await service.listing.ListRuns(principal, request)` returns the response. A handler that streams is an async
    generator of responses. All handlers raise QueryError, StorageError, ControlError.
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
        lookup = self._lookup = Lookup(storage, store, crash_after_s, tables or RunTables(storage))
        self.hub = Hub(storage, lookup)
        self.runs = RunMethods(storage, store, lookup)
        self.listing = ListingMethods(storage, lookup)
        self.fields = FieldMethods(storage, lookup)
        self.comparing = ComparisonMethods(storage, lookup)
        self.explaining = ExplanationMethods(storage, lookup)
        self.curves = CurveMethods(storage, lookup)
        self.ranks = RankMethods(storage, lookup)
        self.ranking = RankingMethods(storage, lookup)
        self.rich_data = RichDataMethods(storage, lookup, deletion.media)
        self.records = RecordMethods(storage, lookup)
        self.live = LiveMethods(lookup, self.hub)
        self.deletion = DeletionMethods(store, lookup, deletion)
        self.editing = EditingMethods(storage, store, lookup, Edits(storage, store, deletion))
        self.saved = SavedMethods(store, lookup)
        self.sql = SqlMethods(lookup, sql)
        self.exporting = ExportMethods(storage, lookup, self.listing)
        self.sweeps = SweepService(storage, store, lookup, metrics or Metrics(["query"]))
        self.account = AccountMethods(UserApiKeys.beside(store), lookup)
        self.methods = MethodTable(
            [
                *self._run_methods(),
                *self._rich_methods(),
                *self._stored_methods(),
                *self.sweeps.methods(),
                *self._account_methods(),
            ]
        )

    async def close(self) -> None:
        """End the background work: streams that only their callers end."""
        self.sweeps.close()
        await self.hub.close()

    async def project(self, principal: Principal, team: str, project: str) -> str:
        """Return `team/project`. The project exists and the caller may read it."""
        return await self._lookup.project(principal, team, project)

    def _run_methods(self) -> Iterator[UnaryMethod]:
        """Yield the entries of methods that read runs and their curves."""
        make = _QUERY
        # WhoAmI is answered from memory.
        yield make.unary(pb.WhoAmIRequest, pb.WhoAmIResponse, Queue.NONE)(self.runs.WhoAmI)
        yield make.unary(pb.ListProjectsRequest, pb.ListProjectsResponse)(self.runs.ListProjects)
        yield make.unary(pb.GetRunRequest, pb.Run)(self.runs.GetRun)
        yield make.unary(pb.VerifyRunsRequest, pb.VerifyRunsResponse)(self.runs.VerifyRuns)
        yield make.unary(pb.ListRunsRequest, pb.ListRunsResponse)(self.listing.ListRuns)
        yield make.unary(pb.CountRunsRequest, pb.CountRunsResponse)(self.listing.CountRuns)
        yield make.unary(pb.ListMetricsRequest, pb.ListMetricsResponse)(self.fields.ListMetrics)
        yield make.unary(pb.ListFieldsRequest, pb.ListFieldsResponse)(self.fields.ListFields)
        yield make.unary(pb.CompareRunsRequest, pb.CompareRunsResponse)(self.comparing.CompareRuns)
        yield make.unary(pb.RankRunsRequest, pb.RankRunsResponse)(self.ranking.RankRuns)
        yield make.unary(pb.GetParetoFrontRequest, pb.GetParetoFrontResponse)(self.ranking.GetParetoFront)
        yield make.unary(pb.GetImportanceRequest, pb.GetImportanceResponse)(self.explaining.GetImportance)
        parallel = make.unary(pb.GetParallelCoordinatesRequest, pb.GetParallelCoordinatesResponse)
        yield parallel(self.explaining.GetParallelCoordinates)
        yield make.unary(pb.GetHistoryRequest, pb.GetHistoryResponse)(self.curves.GetHistory)
        yield make.unary(pb.GetCurvesRequest, pb.GetCurvesResponse)(self.curves.GetCurves)
        grouped = make.unary(curves_pb2.GetGroupCurvesRequest, curves_pb2.GetGroupCurvesResponse)
        yield grouped(self.curves.GetGroupCurves)
        yield make.unary(curves_pb2.GetRankCurvesRequest, curves_pb2.GetRankCurvesResponse)(self.ranks.GetRankCurves)
        yield make.unary(curves_pb2.GetRankMapRequest, curves_pb2.GetRankMapResponse)(self.ranks.GetRankMap)
        yield make.unary(curves_pb2.FindNotFiniteRequest, curves_pb2.FindNotFiniteResponse)(self.ranks.FindNotFinite)
        stragglers = make.unary(curves_pb2.FindStragglersRequest, curves_pb2.FindStragglersResponse)
        yield stragglers(self.ranks.FindStragglers)

    def _rich_methods(self) -> Iterator[UnaryMethod | StreamingMethod]:
        """Yield the entries of methods that read what is no number, that stream, and that export."""
        make, rich, export = _QUERY, rich_pb2, export_pb2
        yield make.unary(rich.ListKeysRequest, rich.ListKeysResponse)(self.rich_data.ListKeys)
        yield make.unary(rich.GetHistogramsRequest, rich.GetHistogramsResponse)(self.rich_data.GetHistograms)
        yield make.unary(rich.GetTableRequest, rich.GetTableResponse)(self.rich_data.GetTable)
        yield make.unary(rich.GetPlotRequest, rich.GetPlotResponse)(self.rich_data.GetPlot)
        yield make.unary(rich.ListMediaRequest, rich.ListMediaResponse)(self.records.ListMedia)
        yield make.unary(rich.ListFilesRequest, rich.ListFilesResponse)(self.records.ListFiles)
        yield make.unary(rich.GetTextsRequest, rich.GetTextsResponse)(self.records.GetTexts)
        yield make.unary(rich.ListAlertsRequest, rich.ListAlertsResponse)(self.records.ListAlerts)
        yield make.unary(rich.GetConsoleRequest, rich.GetConsoleResponse)(self.records.GetConsole)
        # A stream is open for hours. The server reads for it on its own account, once for each project.
        yield make.streaming(live_pb2.WatchRunsRequest, live_pb2.WatchRunsResponse, Queue.NONE)(self.live.WatchRuns)
        # SQL of users has a queue of its own, which `/clickhouse/` uses too: see `sqlaccess/sql_runner.py`.
        yield make.unary(sql_pb2.RunSqlRequest, sql_pb2.RunSqlResponse, Queue.NONE)(self.sql.RunSql)
        points = make.streaming(export.ExportPointsRequest, export.ExportChunk, Queue.EXPORTS)
        yield points(self.exporting.ExportPoints)
        yield make.streaming(export.ExportRowsRequest, export.ExportChunk, Queue.EXPORTS)(self.exporting.ExportRows)
        yield make.unary(export.CountRowsRequest, export.CountRowsResponse)(self.exporting.CountRows)
        yield make.unary(export.GetExtentRequest, export.GetExtentResponse)(self.exporting.GetExtent)

    def _stored_methods(self) -> Iterator[UnaryMethod]:
        """Yield the entries of methods that change runs, and of those for what people write on the server.

        Those without a queue are answered from a few rows of the control database.
        """
        make, saved, none = _QUERY, saved_pb2, Queue.NONE
        yield make.unary(pb.DeleteRunsRequest, pb.DeleteResponse)(self.deletion.DeleteRuns)
        yield make.unary(pb.DeleteMetricRequest, pb.DeleteResponse)(self.deletion.DeleteMetric)
        yield make.unary(pb.DeleteProjectRequest, pb.DeleteResponse)(self.deletion.DeleteProject)
        yield make.unary(pb.SetRetentionRequest, pb.SetRetentionResponse, none)(self.deletion.SetRetention)
        yield make.unary(saved.UpdateRunsRequest, pb.UpdateRunsResponse)(self.editing.UpdateRuns)
        yield make.unary(saved.UpdateProjectRequest, pb.Project, none)(self.editing.UpdateProject)
        yield make.unary(saved.ListChangesRequest, saved.ListChangesResponse, none)(self.editing.ListChanges)
        yield make.unary(saved.ListSavedRequest, saved.ListSavedResponse, none)(self.saved.ListSaved)
        yield make.unary(saved.GetSavedRequest, saved.Saved, none)(self.saved.GetSaved)
        yield make.unary(saved.CreateSavedRequest, saved.Saved, none)(self.saved.CreateSaved)
        yield make.unary(saved.UpdateSavedRequest, saved.Saved, none)(self.saved.UpdateSaved)
        yield make.unary(saved.DeleteSavedRequest, saved.DeleteSavedResponse, none)(self.saved.DeleteSaved)
        yield make.unary(saved.RestoreSavedRequest, saved.Saved, none)(self.saved.RestoreSaved)

    def _account_methods(self) -> Iterator[UnaryMethod]:
        """Yield the entries of `AccountService`, which are answered from a few rows of the control database."""
        make = ServiceEntries(account_pb2.DESCRIPTOR.services_by_name["AccountService"])
        account, none = account_pb2, Queue.NONE
        yield make.unary(account.GetAccountRequest, account.Account, none)(self.account.GetAccount)
        yield make.unary(account.ListApiKeysRequest, account.ListApiKeysResponse, none)(self.account.ListApiKeys)
        yield make.unary(account.CreateApiKeyRequest, account.CreateApiKeyResponse, none)(self.account.CreateApiKey)
        yield make.unary(account.RevokeApiKeyRequest, account.ApiKey, none)(self.account.RevokeApiKey)
