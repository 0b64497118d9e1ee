"""Puts the parts of the sweeps' service together."""

from __future__ import annotations

from collections.abc import Iterator

from runstream_common.service.metrics import Metrics
from runstream_control.control_store import ControlStore
from runstream_control.sweeps.sweep_store import SweepStore
from runstream_proto.v1 import sweep_pb2 as pb
from runstream_query.base.storage import Storage
from runstream_query.methods.method_table import Queue, ServiceEntries, UnaryMethod
from runstream_query.methods.standings import StandingMethods
from runstream_query.methods.sweeps import SweepMethods
from runstream_query.methods.trials import TrialMethods
from runstream_query.runs.lookup import Lookup
from runstream_query.sweeps.agent_coordinator import AgentCoordinator
from runstream_query.sweeps.search.suggesting import BackgroundSuggester
from runstream_query.sweeps.supervisor import SweepSupervisor
from runstream_query.sweeps.sweep_cache import SweepCache


class SweepService:
    """Implements `SweepService` of the contract. `supervisor` is to run beside it."""

    def __init__(self, storage: Storage, store: ControlStore, lookup: Lookup, metrics: Metrics) -> None:
        sweeps = SweepStore.beside(store)
        self._suggester = BackgroundSuggester(metrics)
        cache = SweepCache(sweeps, self._suggester)
        coordinator = AgentCoordinator(sweeps, cache, metrics)
        self.sweeps = SweepMethods(sweeps, lookup, cache, coordinator)
        self.trials = TrialMethods(storage, sweeps, lookup, cache, coordinator)
        self.standings = StandingMethods(sweeps, cache)
        self.supervisor = SweepSupervisor(sweeps, storage, lookup, cache, metrics, coordinator.wake)

    def methods(self) -> Iterator[UnaryMethod]:
        """Yield the table's entries for the methods of this service."""
        make, none = ServiceEntries(pb.DESCRIPTOR.services_by_name["SweepService"]), Queue.NONE
        # Agents call these by the thousand, all as one user, and some calls wait half a minute by design: no queue.
        yield make.unary(pb.CreateSweepRequest, pb.Sweep, none)(self.sweeps.CreateSweep)
        yield make.unary(pb.GetSweepRequest, pb.Sweep, none)(self.sweeps.GetSweep)
        yield make.unary(pb.ListSweepsRequest, pb.ListSweepsResponse, none)(self.sweeps.ListSweeps)
        yield make.unary(pb.UpdateSweepRequest, pb.Sweep, none)(self.sweeps.UpdateSweep)
        yield make.unary(pb.CommandSweepRequest, pb.Sweep, none)(self.sweeps.CommandSweep)
        yield make.unary(pb.DeleteSweepRequest, pb.DeleteSweepResponse, none)(self.sweeps.DeleteSweep)
        yield make.unary(pb.RegisterAgentRequest, pb.Agent, none)(self.trials.RegisterAgent)
        yield make.unary(pb.ListAgentsRequest, pb.ListAgentsResponse, none)(self.trials.ListAgents)
        # Trials that are leased to nobody would wait for the end of their lease.
        lease = make.unary(pb.LeaseTrialsRequest, pb.LeaseTrialsResponse, none, ends_with_caller=True)
        yield lease(self.trials.LeaseTrials)
        yield make.unary(pb.HeartbeatRequest, pb.HeartbeatResponse, none)(self.trials.Heartbeat)
        yield make.unary(pb.EndTrialRequest, pb.EndTrialResponse, none)(self.trials.EndTrial)
        yield make.unary(pb.ReportValuesRequest, pb.ReportValuesResponse, none)(self.trials.ReportValues)
        yield make.unary(pb.AddTrialsRequest, pb.AddTrialsResponse, none)(self.trials.AddTrials)
        yield make.unary(pb.ListTrialsRequest, pb.ListTrialsResponse)(self.standings.ListTrials)
        yield make.unary(pb.GetBestTrialsRequest, pb.GetBestTrialsResponse)(self.standings.GetBestTrials)
        yield make.unary(pb.GetSweepSummaryRequest, pb.SweepSummary)(self.standings.GetSweepSummary)
        yield make.unary(pb.ListSweepChangesRequest, pb.ListSweepChangesResponse, none)(self.sweeps.ListSweepChanges)

    def close(self) -> None:
        self._suggester.close()
