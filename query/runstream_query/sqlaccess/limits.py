"""Limit the cost of one query of a user, each limit with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from runstream_query.base.fair_queue import QueueShares
from runstream_query.base.storage import PEOPLES_PRIORITY


@dataclass(frozen=True, slots=True)
class SqlLimits:
    seconds: float = 30.0
    """Nobody waits longer for a dashboard's panel."""
    memory_bytes: int = 1 << 30
    """The page and the ingest share the machine."""
    rows: int = 1_000_000
    """Rows of an answer: for more, use an export."""
    result_bytes: int = 256 << 20
    per_user: int = 4
    """Concurrent queries, whatever keys they use: a dashboard of ten panels queues, and no user blocks the others."""
    per_team: int = 6
    """Concurrent queries: the dashboards of one team leave capacity for those of another."""
    in_all: int = 16
    wait_s: float = 20.0
    """Seconds that a query waits in the queue; then it is refused."""

    @property
    def shares(self) -> QueueShares:
        return QueueShares(self.per_user, self.per_team, self.in_all, wait_s=self.wait_s)

    def settings(self, seconds: float | None = None) -> dict[str, str]:
        """Return the settings of a query. `seconds` shortens its time if the caller allows less."""
        allowed = min(self.seconds, seconds) if seconds else self.seconds
        return {
            "readonly": "1",
            # The page's queries go first: while one is running the engine lets these wait, block by block.
            "priority": str(PEOPLES_PRIORITY),
            "max_execution_time": f"{allowed:g}",
            "timeout_overflow_mode": "throw",
            "max_memory_usage": str(self.memory_bytes),
            "max_result_rows": str(self.rows),
            "max_result_bytes": str(self.result_bytes),
            "result_overflow_mode": "throw",
            # Data on disk does not count as memory: a query that does not fit into memory is refused.
            "max_bytes_before_external_group_by": "0",
            "max_bytes_ratio_before_external_group_by": "0",
            "max_bytes_before_external_sort": "0",
            "max_bytes_ratio_before_external_sort": "0",
            "max_recursive_cte_evaluation_depth": "200",
            "max_ast_elements": "20000",
            "max_expanded_ast_elements": "200000",
            # The number of rows read would count others' rows in the same granules.
            "output_format_write_statistics": "0",
            # A dictionary is written whole, with values of rows that are not in the answer.
            "output_format_arrow_low_cardinality_as_dictionary": "0",
            "allow_introspection_functions": "0",
            "allow_ddl": "0",
            # A run lives in one partition, its creation month.
            "do_not_merge_across_partitions_select_final": "1",
        }
