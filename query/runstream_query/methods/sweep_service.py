"""The parts of the sweeps' service, put together."""

from __future__ import annotations

from runstream_common.service.metrics import Metrics
from runstream_control.control_store import ControlStore
from runstream_control.sweeps.sweep_store import SweepStore
from runstream_query.base.storage import Storage
from runstream_query.methods.standings import StandingMethods
from runstream_query.methods.sweeps import SweepMethods
from runstream_query.methods.trials import TrialMethods
from runstream_query.runs.lookup import Lookup
from runstream_query.sweeps.agent_coordinator import AgentCoordinator
from runstream_query.sweeps.search.suggesting import BackgroundSuggester
from runstream_query.sweeps.supervisor import SweepSupervisor
from runstream_query.sweeps.sweep_cache import SweepCache


class SweepService:
    """`topics` have the methods of the service; `keeper` is to run beside them."""

    def __init__(self, storage: Storage, store: ControlStore, lookup: Lookup, metrics: Metrics) -> None:
        sweeps = SweepStore.beside(store)
        self._background = BackgroundSuggester(metrics)
        cache = SweepCache(sweeps, self._background)
        agents = AgentCoordinator(sweeps, cache, metrics)
        self.topics: tuple[object, ...] = (
            SweepMethods(sweeps, lookup, cache, agents),
            TrialMethods(storage, sweeps, lookup, cache, agents),
            StandingMethods(sweeps, cache),
        )
        self.keeper = SweepSupervisor(sweeps, storage, lookup, cache, metrics, agents.wake)

    def close(self) -> None:
        self._background.close()
