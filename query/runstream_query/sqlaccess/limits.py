"""What one query of a person's may cost, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from runstream_query.places import Shares
from runstream_query.storage import PEOPLES_PRIORITY


@dataclass(frozen=True, slots=True)
class SqlLimits:
    seconds: float = 30.0
    """A dashboard's panel that takes longer is waited for by nobody."""
    memory_bytes: int = 1 << 30
    """The page and the ingest share the machine."""
    rows: int = 1_000_000
    """Of an answer: more is an export, which has its own road."""
    result_bytes: int = 256 << 20
    per_user: int = 4
    """At once, whatever keys they come with: a dashboard of ten panels queues, and nobody keeps the others out."""
    per_team: int = 6
    """At once: one team's dashboards leave room for another's."""
    in_all: int = 16
    wait_s: float = 20.0
    """For a place; then the query is refused."""

    @property
    def shares(self) -> Shares:
        return Shares(self.per_user, self.per_team, self.in_all, wait_s=self.wait_s)

    def settings(self, seconds: float | None = None) -> dict[str, str]:
        """`seconds`: less, where the caller asked for less."""
        allowed = min(self.seconds, seconds) if seconds else self.seconds
        return {
            "readonly": "1",
            # The page's questions go first: while one is under way the engine lets these wait, block by block.
            "priority": str(PEOPLES_PRIORITY),
            "max_execution_time": f"{allowed:g}",
            "timeout_overflow_mode": "throw",
            "max_memory_usage": str(self.memory_bytes),
            "max_result_rows": str(self.rows),
            "max_result_bytes": str(self.result_bytes),
            "result_overflow_mode": "throw",
            # On disk nothing counts against the memory: a query that does not fit is refused.
            "max_bytes_before_external_group_by": "0",
            "max_bytes_ratio_before_external_group_by": "0",
            "max_bytes_before_external_sort": "0",
            "max_bytes_ratio_before_external_sort": "0",
            "max_recursive_cte_evaluation_depth": "200",
            "max_ast_elements": "20000",
            "max_expanded_ast_elements": "200000",
            # How many rows were read counts others' rows in the same granules.
            "output_format_write_statistics": "0",
            # A dictionary is written whole, with the values of rows that are not in the answer.
            "output_format_arrow_low_cardinality_as_dictionary": "0",
            "allow_introspection_functions": "0",
            "allow_ddl": "0",
            # A run lives in one partition, its creation month.
            "do_not_merge_across_partitions_select_final": "1",
        }
