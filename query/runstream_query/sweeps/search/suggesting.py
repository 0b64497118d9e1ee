"""Make suggestions for the next trials off the event loop, before the transaction that hands them out."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from runstream_common.service.metrics import Metrics
from runstream_control.sweeps.model import StoredTrial, SweepRow, TrialRow, Value
from runstream_control.sweeps.sweep_store import SweepStore
from runstream_query.sweeps.definition import SweepDefinition
from runstream_query.sweeps.limits import MAX_SUGGESTIONS
from runstream_query.sweeps.search.choice import Model, PreparedSuggestions
from runstream_query.sweeps.search.observations import Observations, Result

if TYPE_CHECKING:  # heavy to load: the functions that use them import them
    from threadpoolctl import ThreadpoolController


class BackgroundSuggester:
    """Runs all models in one thread: they only compute, and two threads would wait for each other."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._pool = ThreadPoolExecutor(1, "sweep-models")
        self._controller: ThreadpoolController | None = None

    async def suggest(
        self, method: str, model: Model, number: int, history: Observations
    ) -> Mapping[str, object] | None:
        return await asyncio.get_running_loop().run_in_executor(
            self._pool, self._compute, method, model, number, history
        )

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _compute(self, method: str, model: Model, number: int, history: Observations) -> Mapping[str, object] | None:
        started_s = time.perf_counter()
        self._controller = self._controller or _thread_controller()
        with self._controller.limit(limits=1):
            chosen = model.suggest(number, history)
        took_s = time.perf_counter() - started_s
        self._metrics.histogram("runstream_query_sweep_suggestion_seconds", method=method).observe(took_s)
        return chosen


def _thread_controller() -> ThreadpoolController:
    """Return a controller of the math libraries' threads.

    The matrices have a few hundred rows: more threads than one only slow each other down (measured: four times slower
    on a busy machine). The libraries are imported first, since those loaded later are not under control.
    """
    import scipy.linalg  # noqa: F401
    import sklearn.gaussian_process  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


class Suggester:
    """Makes suggestions for one sweep. It remembers the results so far, which can be read again at any time."""

    def __init__(
        self, sweep: str, definition: SweepDefinition, model: Model, store: SweepStore, background: BackgroundSuggester
    ) -> None:
        self._sweep = sweep
        self._definition = definition
        self._model = model
        self._store = store
        self._background = background
        self._results: list[Result] = []
        self._order = 0

    async def prepare(self, count: int) -> PreparedSuggestions:
        """Prepare suggestions for as many new trials as may be handed out now, at most `count` and MAX_SUGGESTIONS."""
        space = self._definition.space
        row = await self._store.sweep(self._sweep)
        fresh = 0 if row is None else min(count - row.queued, _free(row), MAX_SUGGESTIONS)
        if row is None or fresh <= 0:
            return PreparedSuggestions(space, {})
        await self._read_results()
        pending = [space.flatten(json.loads(trial.parameters)) for trial in await self._store.pending(self._sweep)]
        suggestions: dict[int, Mapping[str, object]] = {}
        for number in range(row.drawn + 1, row.drawn + 1 + fresh):
            history = Observations(tuple(self._results), tuple(pending))
            chosen = await self._background.suggest(self._definition.method, self._model, number, history)
            if chosen is None:
                break
            suggestions[number] = chosen
            pending.append(dict(chosen))
        return PreparedSuggestions(space, suggestions)

    async def _read_results(self) -> None:
        for row in await self._store.results_after(self._sweep, self._order):
            self._results.append(self._result(row))
            self._order = row.result_order

    def _result(self, row: TrialRow) -> Result:
        values: Sequence[float] = json.loads(row.values_json) if row.value_state == Value.KNOWN else ()
        return Result(self._definition.space.flatten(json.loads(row.parameters)), tuple(values))


def _free(row: SweepRow) -> int:
    """Return how many new trials may be drawn now."""
    drawn = sum(row._mapping[state.value] for state in StoredTrial if state is not StoredTrial.ADDED)
    free = MAX_SUGGESTIONS if row.run_cap is None else row.run_cap - drawn
    if row.max_parallel is not None:
        free = min(free, row.max_parallel - row.running)
    return int(free) if row.state == "running" else 0
