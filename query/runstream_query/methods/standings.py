"""Answers requests for the state of a sweep: its trials, the best of them, and its progress."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Sequence

import numpy as np

from runstream_common.times import now_us
from runstream_control.principal import Principal
from runstream_control.sweeps.model import State, StoredTrial, SweepRow, TrialRow, Value
from runstream_control.sweeps.sweep_store import SweepStore
from runstream_proto.v1 import sweep_pb2 as pb
from runstream_query.analysis import pareto
from runstream_query.base.errors import InvalidRequestError
from runstream_query.base.paging import make_token, page_size, read_token
from runstream_query.runs.documents import timestamp
from runstream_query.sweeps.limits import MAX_TRIALS_COMPARED
from runstream_query.sweeps.messages import TRIAL_STATE_NAMES, sweep_message, trial_message
from runstream_query.sweeps.sweep_cache import CachedSweep, SweepCache

_GOOD = (StoredTrial.FINISHED.value, StoredTrial.PRUNED.value, StoredTrial.ADDED.value)
_MAX_NUMBERS = 1000
_HOUR_US = 3_600_000_000
_MAX_PAGE = 1000


class StandingMethods:
    def __init__(self, store: SweepStore, cache: SweepCache) -> None:
        self._store = store
        self._cache = cache

    async def ListTrials(self, principal: Principal, request: pb.ListTrialsRequest) -> pb.ListTrialsResponse:
        await self._cache.row(principal, request.sweep)
        size = page_size(request.page_size, 100, 1000)
        if len(request.numbers) > _MAX_NUMBERS or any(number >= 1 << 63 for number in request.numbers):
            raise InvalidRequestError(f"numbers: at most {_MAX_NUMBERS} of trials")
        states = [TRIAL_STATE_NAMES[state].value for state in request.states if state in TRIAL_STATE_NAMES]
        (place,) = read_token(request, (int,)) or (None,)
        response = pb.ListTrialsResponse()
        if request.order == pb.ListTrialsRequest.ORDER_VALUE:
            if request.numbers:
                raise InvalidRequestError("numbers: not with ORDER_VALUE")
            start = place or 0
            rows = await self._ranked(request.sweep, states, request.objective, start, size)
            next_place = start + size
        else:
            start, descending = 0, request.order == pb.ListTrialsRequest.ORDER_NEWEST
            rows = await self._store.trials_of(
                request.sweep,
                states=states,
                numbers=list(request.numbers),
                descending=descending,
                after=place,
                limit=size,
            )
            next_place = rows[-1].number if rows else 0
        by_value = request.order == pb.ListTrialsRequest.ORDER_VALUE
        response.trials.extend(
            trial_message(row, index if by_value else 0) for index, row in enumerate(rows, start=start + 1)
        )
        if len(rows) == size:
            response.next_page_token = make_token(request, [next_place])
        return response

    async def GetBestTrials(self, principal: Principal, request: pb.GetBestTrialsRequest) -> pb.GetBestTrialsResponse:
        await self._cache.row(principal, request.sweep)
        size = page_size(request.page_size, _MAX_PAGE, _MAX_PAGE)
        (after,) = read_token(request, (int,)) or (-1,)
        numbers = [number for number in await self._best(request.sweep) if number > after]
        response = pb.GetBestTrialsResponse()
        response.trials.extend(map(trial_message, await self._trials(request.sweep, numbers[:size])))
        if len(numbers) > size:
            response.next_page_token = make_token(request, [numbers[size - 1]])
        return response

    async def GetSweepSummary(self, principal: Principal, request: pb.GetSweepSummaryRequest) -> pb.SweepSummary:
        row = await self._cache.row(principal, request.sweep)
        top = page_size(request.top, 10, 100, "top")
        entry = await self._entry(request.sweep)
        message = pb.SweepSummary(sweep=sweep_message(row, entry.definition, whole=False))
        message.agents = await self._store.agents_alive(request.sweep)
        message.trials_per_hour, eta_s = await self._rate(row, message.sweep.size)
        if eta_s is not None:
            message.eta_s = eta_s
        counts = await self._store.value_counts(request.sweep)
        message.values_pending = counts.get(Value.PENDING, 0)
        message.values_missing = counts.get(Value.MISSING, 0)
        if entry.definition.objectives:
            message.best.extend(await self._top(entry, top))
            message.improvements.extend(await self._improvements(entry))
        return message

    async def _entry(self, sweep: str) -> CachedSweep:
        entry = await self._cache.entry(sweep)
        if entry is None:
            raise InvalidRequestError("the sweep was deleted")
        return entry

    async def _top(self, entry: CachedSweep, top: int) -> list[pb.Trial]:
        front: Sequence[int] = []
        if len(entry.definition.objectives) > 1:
            with contextlib.suppress(InvalidRequestError):  # more trials than are compared: GetBestTrials says so
                front = (await self._best(entry.sweep))[:top]
        first = await self._trials(entry.sweep, front)
        maximize = entry.definition.objectives[0].maximize
        ranked = await self._store.ranked(entry.sweep, _GOOD, maximize, 0, top)
        taken = {row.number for row in first}
        rows = [*first, *(row for row in ranked if row.number not in taken)][:top]
        return [trial_message(row) for row in rows]

    async def _trials(self, sweep: str, numbers: Sequence[int]) -> Sequence[TrialRow]:
        return await self._store.trials_of(sweep, numbers=numbers, limit=len(numbers)) if numbers else []

    async def _values(self, sweep: str, most: int) -> Sequence[TrialRow]:
        """Return the values of all trials. Raises InvalidRequestError where there are more than `most`."""
        rows = await self._store.values_of(sweep, most + 1)
        if len(rows) > most:
            raise InvalidRequestError(
                f"more than {most} trials have values: so many are not compared; read them with ListTrials"
            )
        return rows

    async def _best(self, sweep: str) -> Sequence[int]:
        """Return the number of the best trial, or those of the front where there are several objectives, rising."""
        objectives = (await self._entry(sweep)).definition.objectives
        if not objectives:
            raise InvalidRequestError("the sweep has no metric: no trial is better than another")
        if len(objectives) == 1:
            rows = await self._store.ranked(sweep, _GOOD, objectives[0].maximize, 0, 1)
            return [row.number for row in rows if row.value is not None]
        most = pareto.MAX_POINTS_OF_TWO if len(objectives) == 2 else pareto.MAX_POINTS
        rows = [row for row in await self._values(sweep, most) if row.state in _GOOD]
        values = np.array([json.loads(row.values_json) for row in rows], float).reshape(-1, len(objectives))
        whole = ~np.isnan(values).any(axis=1)
        costs = values[whole] * np.array([-1.0 if objective.maximize else 1.0 for objective in objectives])
        front = np.flatnonzero(pareto.layers(costs, 1))
        numbers = [row.number for row, kept in zip(rows, whole, strict=True) if kept]
        return sorted(numbers[int(index)] for index in front)

    async def _ranked(
        self, sweep: str, states: Sequence[str], objective: int, start: int, size: int
    ) -> Sequence[TrialRow]:
        objectives = (await self._entry(sweep)).definition.objectives
        if objective >= len(objectives):
            raise InvalidRequestError(f"objective is {objective}: the sweep has {len(objectives)} metrics")
        maximize = objectives[objective].maximize
        if objective == 0:
            return await self._store.ranked(sweep, states, maximize, start, size)
        rows = await self._values(sweep, MAX_TRIALS_COMPARED)
        ranked = sorted(
            ((json.loads(row.values_json)[objective], row.number) for row in rows if not states or row.state in states),
            key=lambda pair: (math.isnan(pair[0]), -pair[0] if maximize else pair[0], pair[1]),
        )[start : start + size]
        found = await self._store.trials_of(sweep, numbers=[number for _, number in ranked], limit=size)
        by_number = {row.number: row for row in found}
        return [by_number[number] for _, number in ranked if number in by_number]

    async def _rate(self, row: SweepRow, size: int) -> tuple[float, float | None]:
        """Return trials an hour, and seconds until the last trial ends; None where these are not known."""
        if row.started_us is None:
            return 0.0, None
        until = row.ended_us or now_us()
        window_us = max(min(until - row.started_us, _HOUR_US), 1_000_000)
        per_hour = await self._store.ended_since(row.id, until - window_us) / window_us * _HOUR_US
        left = size - row.finished - row.failed - row.pruned - row.cancelled
        if row.state != State.RUNNING or not size or not per_hour:
            return per_hour, None
        return per_hour, max(left, 0) / per_hour * 3600

    async def _improvements(self, entry: CachedSweep) -> list[pb.Improvement]:
        maximize = entry.definition.objectives[0].maximize
        best = math.nan
        found: list[pb.Improvement] = []
        for row in await self._store.values_of(entry.sweep, MAX_TRIALS_COMPARED):
            value = json.loads(row.values_json)[0]
            if math.isnan(value) or row.state not in _GOOD:
                continue
            if math.isnan(best) or (value > best if maximize else value < best):
                best = value
                found.append(
                    pb.Improvement(
                        number=row.number, ended_trials=row.result_order, ended=timestamp(row.ended_us), value=value
                    )
                )
        return found
