"""Run the background work of sweeps: expire leases, collect the results of runs, stop trials that fall behind.

Each query service runs it. Two of them may do the same work at once: the database decides, so no harm is done.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

import structlog

from runstream_common.clickhouse.client import StorageError
from runstream_common.service.metrics import Metrics
from runstream_control.errors import ControlError
from runstream_control.sweeps.model import Cause, StoredTrial, TrialRow
from runstream_control.sweeps.sweep_store import SweepStore
from runstream_query.base.storage import Storage
from runstream_query.runs.lookup import Lookup
from runstream_query.sweeps import results
from runstream_query.sweeps.hyperband import MAX_BRACKETS, TrialProgress, trials_to_stop
from runstream_query.sweeps.sweep_cache import CachedSweep, SweepCache

LOG = structlog.get_logger()
_EVERY_S = 1.0
_JUDGE_EVERY_S = 2.0
_MAX_AWAITED = 1000
"""Trials that are checked for results at a time; those that ended first come first."""
_SLOWEST_S = 10.0
"""The longest pause between two checks of a trial whose run does not end, in seconds."""
_MAX_REMEMBERED = 100_000


class SweepSupervisor:
    def __init__(
        self,
        store: SweepStore,
        storage: Storage,
        lookup: Lookup,
        cache: SweepCache,
        metrics: Metrics,
        wake: Callable[[str], None],
    ) -> None:
        """Create the supervisor. It calls `wake` with a changed sweep, so that its waiting agents try again."""
        self._store = store
        self._storage = storage
        self._lookup = lookup
        self._cache = cache
        self._metrics = metrics
        self._wake = wake
        self._next_checks: dict[tuple[str, int], tuple[float, float]] = {}
        """By awaited trial: when to check it again (monotonic), and the pause before that, in seconds."""
        self._ended: dict[tuple[str, int], TrialProgress] = {}
        """The progress of trials that ended, which does not change any more."""
        self._judged_s = 0.0

    async def run(self) -> None:
        while True:
            try:
                await self.run_once()
            except (StorageError, ControlError) as error:
                LOG.warning("the sweeps could not be updated", reason=str(error)[:300])
            except Exception as error:  # the loop's boundary: the next turn tries again
                LOG.error("updating the sweeps failed", exc_info=error)
            await asyncio.sleep(_EVERY_S)

    async def run_once(self) -> None:
        """Update all sweeps once. Raise StorageError, ControlError."""
        for sweep in await self._store.to_tend():
            await self._store.tend(sweep)
            self._wake(sweep)
        await self._collect()
        if time.monotonic() - self._judged_s >= _JUDGE_EVERY_S:
            self._judged_s = time.monotonic()
            await self._judge_all()

    # Results

    async def _collect(self) -> None:
        now = time.monotonic()
        rows = await self._store.awaiting_values(_MAX_AWAITED)
        awaited = {(row.sweep, row.number) for row in rows}
        self._next_checks = {key: at for key, at in self._next_checks.items() if key in awaited}
        by_sweep: dict[str, list[TrialRow]] = defaultdict(list)
        for row in rows:
            if self._next_checks.get((row.sweep, row.number), (0.0, 0.0))[0] <= now:
                by_sweep[row.sweep].append(row)
        for sweep, trials in by_sweep.items():
            entry = await self._cache.entry(sweep)
            if entry is None:
                continue
            found = await results.read(
                self._storage, self._lookup, entry.full_project, entry.definition.objectives, trials
            )
            for trial in trials:
                if trial.number not in found:
                    pause = min(self._next_checks.get((sweep, trial.number), (0.0, 0.5))[1] * 2, _SLOWEST_S)
                    self._next_checks[sweep, trial.number] = (now + pause, pause)
            if found:
                await self._store.record(sweep, found, entry.goals)
                self._wake(sweep)

    # Early stopping

    async def _judge_all(self) -> None:
        for row in await self._store.early_stopping():
            entry = await self._cache.entry(row.id)
            if entry is None or entry.definition.hyperband is None:
                continue
            try:
                await self._judge(entry)
            except (StorageError, ControlError):
                raise
            except Exception as error:  # one sweep that cannot be judged must not keep the others waiting
                LOG.error("a sweep cannot be judged", sweep=row.id, exc_info=error)

    async def _judge(self, entry: CachedSweep) -> None:
        rule, objective = entry.definition.hyperband, entry.definition.objectives[0]
        assert rule is not None
        trials = await self._store.judged(entry.sweep)
        progress = await self._progress(entry, trials)
        running = [row.number for row in trials if row.state == StoredTrial.RUNNING and not row.stop]
        orders = trials_to_stop(rule, objective.maximize, progress, running)
        if orders:
            stopped = await self._store.order_stop(entry.sweep, orders, Cause.PRUNED)
            self._metrics.counter("runstream_query_sweep_trials_pruned_total").inc(stopped)

    async def _progress(self, entry: CachedSweep, trials: Sequence[TrialRow]) -> dict[int, TrialProgress]:
        """Return the progress of all trials; that of ended ones is read once."""
        rule, objective = entry.definition.hyperband, entry.definition.objectives[0]
        assert rule is not None
        brackets = rule.brackets[:MAX_BRACKETS]
        unknown = [row for row in trials if (entry.sweep, row.number) not in self._ended]
        found: dict[int, TrialProgress] = {}
        for row in trials:
            if (known := self._ended.get((entry.sweep, row.number))) is not None:
                found[row.number] = known
        reports = await self._store.reports_of(entry.sweep, [row.number for row in unknown])
        by_run = {row.run: row for row in unknown if row.number not in reports}
        if by_run:
            for answer in await self._storage.rows(
                "sweep_progress",
                project=entry.full_project,
                runs=sorted(by_run),
                metric=objective.metric,
                brackets=list(brackets),
            ):
                at = tuple(answer["at"])
                found[by_run[answer["run"]].number] = TrialProgress(answer["logs"], at, answer["low"], answer["high"])
        for number, values in reports.items():
            at = tuple(values[b - 1] if b <= len(values) else None for b in brackets)
            found[number] = TrialProgress(len(values), at, min(values), max(values))
        if len(self._ended) > _MAX_REMEMBERED:
            self._ended.clear()
        for row in unknown:
            # A finished trial's last points may still be on their way: it is remembered when its result is known.
            if row.state != StoredTrial.RUNNING and row.value_state != "pending" and row.number in found:
                self._ended[entry.sweep, row.number] = found[row.number]
        return found
