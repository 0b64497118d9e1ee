"""What one query of a person's may cost, each with its reason."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass

from runstream_query.errors import TooExpensiveError


@dataclass(frozen=True, slots=True)
class SqlLimits:
    seconds: float = 30.0
    """A dashboard's panel that takes longer is waited for by nobody."""
    memory_bytes: int = 1 << 30
    """The page and the ingest share the machine."""
    rows: int = 1_000_000
    """Of an answer: more is an export, which has its own road."""
    result_bytes: int = 256 << 20
    per_key: int = 4
    """At once: a dashboard of ten panels queues, and one key cannot keep the others out."""
    in_all: int = 16
    wait_s: float = 20.0
    """For a place; then the query is refused."""

    def settings(self, seconds: float | None = None) -> dict[str, str]:
        """`seconds`: less, where the caller asked for less."""
        allowed = min(self.seconds, seconds) if seconds else self.seconds
        return {
            "readonly": "1",
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


class Places:
    """Who may run a query now."""

    def __init__(self, limits: SqlLimits) -> None:
        self._limits = limits
        self._all = asyncio.Semaphore(limits.in_all)
        self._keys: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(limits.per_key))
        self._users: dict[str, int] = defaultdict(int)

    @contextlib.asynccontextmanager
    async def of(self, key: str) -> AsyncIterator[None]:
        """Wait for a place of this key's. Raises TooExpensiveError when none comes free in time."""
        self._users[key] += 1
        try:
            async with contextlib.AsyncExitStack() as held:
                try:
                    async with asyncio.timeout(self._limits.wait_s):
                        await held.enter_async_context(self._keys[key])
                        await held.enter_async_context(self._all)
                except TimeoutError:
                    raise TooExpensiveError(
                        f"this key has {self._limits.per_key} queries running already, or the server "
                        f"{self._limits.in_all}: wait for them to end",
                        202,
                    ) from None
                yield
        finally:
            self._users[key] -= 1
            if not self._users[key]:
                del self._users[key], self._keys[key]
