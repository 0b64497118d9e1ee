"""Registers agents, and leases, renews, ends and adds trials."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Sequence

from runstream_common import text
from runstream_control.principal import Principal
from runstream_control.sweeps.model import Heartbeat, LeaseRequest, Proposal, Registration, TrialEnd
from runstream_control.sweeps.sweep_store import SweepStore
from runstream_proto.v1 import sweep_pb2 as pb
from runstream_query.base.errors import InvalidRequestError, UnknownNameError
from runstream_query.base.names import check
from runstream_query.base.paging import make_token, page_size, read_token
from runstream_query.base.storage import Storage
from runstream_query.methods.sweeps import check_request_id
from runstream_query.runs.lookup import Lookup
from runstream_query.sweeps.agent_coordinator import AgentCoordinator
from runstream_query.sweeps.limits import (
    FAILURE_LIMIT,
    FAILURE_WINDOW_S,
    LEASE_S,
    MAX_ADDED,
    MAX_BEATS,
    MAX_LEASE_S,
    MAX_LEASED,
    MAX_REPORTED,
    MAX_WAIT_S,
    MIN_LEASE_S,
)
from runstream_query.sweeps.messages import (
    OUTCOMES,
    agent_message,
    lease_message,
    order_message,
    trial_message,
    verdict_fields,
)
from runstream_query.sweeps.search.drawing import proposal
from runstream_query.sweeps.sweep_cache import CachedSweep, SweepCache, unknown_sweep

_RETRY_AFTER_S = 2.0
_MAX_AGENT_NAME, _MAX_HOST, _MAX_LEASE, _MAX_MESSAGE = 128, 255, 64, 4096
_MAX_WINDOW_S = 86_400.0


class TrialMethods:
    def __init__(
        self, storage: Storage, store: SweepStore, lookup: Lookup, cache: SweepCache, coordinator: AgentCoordinator
    ) -> None:
        self._storage = storage
        self._store = store
        self._lookup = lookup
        self._cache = cache
        self._coordinator = coordinator

    async def RegisterAgent(self, principal: Principal, request: pb.RegisterAgentRequest) -> pb.Agent:
        await self._cache.of_sweep(principal, request.sweep)
        _check_length("name", request.name, _MAX_AGENT_NAME)
        _check_length("host", request.host, _MAX_HOST)
        columns = {
            "host": request.host,
            "lease_s": _within("lease_s", request.lease_s or LEASE_S, MIN_LEASE_S, MAX_LEASE_S),
            "failure_limit": int(_within("failure_limit", request.failure_limit or FAILURE_LIMIT, 1, 1000)),
            "failure_window_s": _within(
                "failure_window_s", request.failure_window_s or FAILURE_WINDOW_S, 0.001, _MAX_WINDOW_S
            ),
            "guard_off": request.failure_guard_off,
        }
        name = request.name or f"agent-{secrets.token_hex(4)}"
        row = await self._coordinator.register(request.sweep, Registration(principal.user, name, columns))
        if row is None:
            self._cache.forget(request.sweep)
            raise unknown_sweep(request.sweep)
        return agent_message(row, {})

    async def ListAgents(self, principal: Principal, request: pb.ListAgentsRequest) -> pb.ListAgentsResponse:
        await self._cache.row(principal, request.sweep)
        size = page_size(request.page_size, 100, 1000)
        (start,) = read_token(request, (int,)) or (0,)
        rows, running = await self._store.agents_of(request.sweep, start, size)
        response = pb.ListAgentsResponse(agents=[agent_message(row, running) for row in rows])
        if len(rows) == size:
            response.next_page_token = make_token(request, [start + size])
        return response

    async def LeaseTrials(self, principal: Principal, request: pb.LeaseTrialsRequest) -> pb.LeaseTrialsResponse:
        entry = await self._cache.of_agent(principal, request.agent)
        if not request.request_id:
            raise InvalidRequestError("request_id is empty: make a new one for each lease, such as a UUID")
        check_request_id(request.request_id)
        count = int(_within("count", request.count or 1, 1, MAX_LEASED))
        wait_s = _within("wait_s", request.wait_s, 0, MAX_WAIT_S)
        answer = await self._coordinator.lease(
            entry.sweep, LeaseRequest(request.agent, request.request_id, count), wait_s
        )
        return lease_message(answer, _RETRY_AFTER_S)

    async def Heartbeat(self, principal: Principal, request: pb.HeartbeatRequest) -> pb.HeartbeatResponse:
        entry = await self._cache.of_agent(principal, request.agent)
        if len(request.trials) > MAX_BEATS:
            raise InvalidRequestError(f"{len(request.trials)} trials: at most {MAX_BEATS} in one heartbeat")
        beats = []
        for beat in request.trials:
            _check_length("lease", beat.lease, _MAX_LEASE)
            beats.append(Heartbeat(_number(beat.number), beat.lease, _run(beat.run)))
        result = await self._coordinator.beat(entry.sweep, request.agent, beats)
        return pb.HeartbeatResponse(
            lease_s=result.lease_s,
            stop=[order_message(order) for order in result.orders],
            **verdict_fields(result.answer),
        )

    async def EndTrial(self, principal: Principal, request: pb.EndTrialRequest) -> pb.EndTrialResponse:
        entry = await self._cache.of_agent(principal, request.agent)
        if request.outcome not in OUTCOMES:
            raise InvalidRequestError("outcome is missing: say how the trial ended")
        objectives = entry.definition.objectives
        _check_values("values", request.values, len(objectives))
        if request.HasField("cost") and not (math.isfinite(request.cost) and request.cost >= 0):
            raise InvalidRequestError(f"cost is {request.cost}: give a number of at least 0")
        end = TrialEnd(
            agent=request.agent,
            number=_number(request.number),
            lease=request.lease,
            outcome=OUTCOMES[request.outcome],
            exit_code=request.exit_code,
            message=request.message[:_MAX_MESSAGE],
            run=_run(request.run),
            values=tuple(request.values),
            cost=request.cost if request.HasField("cost") else None,
        )
        ended = await self._coordinator.end(entry.sweep, end)
        if ended is None:
            raise UnknownNameError(f"there is no trial {request.number} in the sweep {entry.sweep}")
        return pb.EndTrialResponse(
            trial=trial_message(ended.trial),
            accepted=ended.accepted,
            requeued=ended.requeued,
            **verdict_fields(ended.answer),
        )

    async def ReportValues(self, principal: Principal, request: pb.ReportValuesRequest) -> pb.ReportValuesResponse:
        entry = await self._cache.of_agent(principal, request.agent)
        if not 1 <= len(request.values) <= MAX_REPORTED:
            raise InvalidRequestError(f"{len(request.values)} values: give 1 to {MAX_REPORTED}")
        if not entry.definition.objectives:
            raise InvalidRequestError("the sweep has no metric: there is nothing to report")
        values = {reported.step: reported.value for reported in request.values}
        order = await self._store.report(entry.sweep, request.agent, _number(request.number), request.lease, values)
        return pb.ReportValuesResponse(stop=order_message(order) if order is not None else None)

    async def AddTrials(self, principal: Principal, request: pb.AddTrialsRequest) -> pb.AddTrialsResponse:
        await self._cache.row(principal, request.sweep, write=True)
        entry = await self._cache.entry(request.sweep)
        if entry is None:
            raise UnknownNameError(f"the sweep {request.sweep[:40]!r} was deleted")
        if not 1 <= len(request.trials) <= MAX_ADDED:
            raise InvalidRequestError(f"{len(request.trials)} trials: give 1 to {MAX_ADDED}")
        configs = await self._configs(entry, [known.run for known in request.trials if not known.parameters_json])
        found = [self._known(entry, index, known, configs) for index, known in enumerate(request.trials)]
        request_id = check_request_id(request.request_id)
        numbers = await self._store.add(request.sweep, principal.user, found, request_id)
        self._coordinator.wake(request.sweep)
        return pb.AddTrialsResponse(numbers=numbers)

    async def _configs(self, entry: CachedSweep, runs: Sequence[str]) -> dict[str, dict[str, object]]:
        """Return the flat configuration of each run. Raises UnknownNameError for a run that does not exist."""
        names = sorted({_run(run) for run in runs if run})
        if not names:
            return {}
        await self._lookup.known_runs(entry.full_project, names)
        configs: dict[str, dict[str, object]] = {run: {} for run in names}
        for row in await self._storage.rows("run_fields", project=entry.full_project, runs=names, sections=["config"]):
            configs[row["run"]][row["key"]] = text.parsed(row["value"])
        return configs

    def _known(
        self, entry: CachedSweep, index: int, known: pb.KnownTrial, configs: dict[str, dict[str, object]]
    ) -> tuple[Proposal, str, Sequence[float]]:
        path = f"trials[{index}]"
        if not known.run and not known.values:
            raise InvalidRequestError(f"{path}: give its values, or the run to read them from")
        _check_values(f"{path}.values", known.values, len(entry.definition.objectives))
        space = entry.definition.space
        if known.parameters_json:
            try:
                nested = json.loads(known.parameters_json)
            except (ValueError, RecursionError) as error:
                raise InvalidRequestError(f"{path}.parameters_json is no JSON: {error}") from error
            if not isinstance(nested, dict):
                raise InvalidRequestError(f"{path}.parameters_json is no JSON object")
            chosen = space.flatten(nested)
        else:
            config = configs.get(known.run, {})
            chosen = {p.name: config[p.name] for p in space.parameters if p.name in config} or space.flatten(config)
        if not chosen:
            raise InvalidRequestError(f"{path}: has none of the sweep's parameters")
        return proposal(space, chosen), _run(known.run), tuple(known.values)


def _within(name: str, value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        raise InvalidRequestError(f"{name} is {value:g}: give {low:g} to {high:g}")
    return value


def _check_length(name: str, text: str, most: int) -> None:
    if len(text) > most or "\0" in text:
        raise InvalidRequestError(f"{name}: a text of at most {most} characters without NUL")


def _check_values(name: str, values: Sequence[float], objectives: int) -> None:
    if values and len(values) != objectives:
        raise InvalidRequestError(f"{name}: {len(values)} values, but the sweep has {objectives} metrics")


def _number(number: int) -> int:
    if number >= 1 << 63:
        raise InvalidRequestError(f"number is {number}: there is no such trial")
    return number


def _run(run: str) -> str:
    if run:
        check("run", run)
    return run
