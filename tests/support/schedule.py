"""How `make test` shares the tests out to its workers: what needs the same services goes to one of them, and what takes
longest begins first, so that none is left alone with it at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

UNITS = {
    "tests/browser/": "browser",  # one stack, one training of the runs that are looked at, one Chromium
    "tests/contract/test_bus.py": "kafka",
    "tests/e2e/sweeps/": "sweeps",
    "tests/e2e/sweeps/test_programs.py::test_a_hundred_agents": "storm of agents",
    "tests/e2e/test_kafka_road.py": "kafka",
    "tests/e2e/test_repair.py": "kafka",
    "tests/e2e/test_up.py::test_with_kafka": "kafka",
    "tests/faults/test_faults.py::test_nothing_is_missing_doubled_or_wrong[kill writer": "faults: Kafka",
    "tests/field/": "field",  # one stack
    "tests/integration/test_dead_letters.py": "kafka",
}
"""By the beginning of a test's id, the longest that fits. All others: their file."""

LONGEST_FIRST = (
    "browser",
    "sweeps",
    "tests/e2e/test_up_alone.py",
    "tests/integration/test_query_service.py",
    "field",
    "kafka",
    "tests/integration/test_selection_tables.py",
    "tests/integration/test_command_lines.py",
    "tests/e2e/test_up.py",
    "tests/e2e/test_processes.py",
    "tests/e2e/test_deletion.py",
    "faults: Kafka",
    "tests/faults/test_faults.py",
    "tests/integrations/test_launchers.py",
    "tests/integration/test_verdict_documents.py",
    "tests/e2e/test_sdk_road.py",
    "tests/integration/test_verdict_rewritten.py",
    "tests/e2e/test_docs.py",
    "tests/integration/test_rollups.py",
    "tests/fuzz/test_fuzz.py",
    "tests/integration/test_verdict_adversary.py",
    "tests/integration/test_editing.py",
    "tests/integration/test_sql_access.py",
    "tests/integration/test_sweeps.py",
    "tests/e2e/test_features.py",
    "storm of agents",
    "tests/unit/test_sweep_search.py",
    "tests/property/test_spool_claims.py",
    "tests/integration/test_embedded_clickhouse.py",
    "tests/integration/test_runs_truth.py",
    "tests/e2e/test_archive.py",
    "tests/integration/test_live_transports.py",
    "tests/integration/test_control.py",
    "tests/integration/test_sweep_servers.py",
    "tests/integrations/test_torch.py",
    "tests/integrations/test_torch_trainers.py",
    "tests/integration/test_embedded_streaming.py",
    "tests/integration/test_live.py",
    "tests/integration/test_export.py",
    "tests/e2e/test_kills.py",
    "tests/integration/test_sql_isolation.py",
    "tests/integration/test_saved.py",
    "tests/integration/test_query_truth.py",
    "tests/integration/test_api.py",
    "tests/integration/test_writer_storage.py",
)
"""Units that take ten seconds or more on two quiet cores (`pytest --durations`). The others follow as they come."""


def unit_of(test: str) -> str:
    """The unit of a test's id: its tests run on one worker, one after the other."""
    fitting = [start for start in UNITS if test.startswith(start)]
    return UNITS[max(fitting, key=len)] if fitting else test.partition("::")[0]


def longest(units: Any) -> str:
    """The one to begin with. `units`: at least one."""
    place = {unit: number for number, unit in enumerate(LONGEST_FIRST)}
    return min(units, key=lambda unit: place.get(unit, len(place)))


class LongestFirst(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        self.workqueue.move_to_end(longest(self.workqueue), last=False)
        super()._assign_work_unit(node)
