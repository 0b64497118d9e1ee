"""The statements of a lease. Each statement serves all agents that request trials, and is compiled once."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, literal, select, update
from sqlalchemy.sql.dml import Insert, Update
from sqlalchemy.sql.selectable import Select

from runstream_control import array_parameters
from runstream_control.sweep_tables import agents, trials
from runstream_control.sweeps.model import AgentRow, FreshTrial, LeaseRequest, StoredTrial, TrialRow, Value

BLANK: Mapping[str, object] = {
    "run": "",
    "resume": False,
    "attempt": 0,
    "failures": 0,
    "losses": 0,
    "agent": "",
    "lease": "",
    "request_id": "",
    "duration_s": 0.0,
    "value_state": Value.NONE.value,
    "values_json": "",
    "exit_code": 0,
    "message": "",
    "stop": "",
    "stop_reason": "",
    "cost": 0.0,
}
"""The columns of a trial about which nothing is known."""
OWN = ("number", "parameters", "digest", "run", "agent", "lease", "request_id", "expires_us")
"""The columns in which the fresh trials of one lease differ."""
_OWN_COLUMNS = tuple(trials.c[name] for name in OWN)
_SHARED = {**BLANK, "attempt": 1, "state": StoredTrial.RUNNING.value}
_SAME = {name: value for name, value in _SHARED.items() if name not in OWN}
_UNKNOWN = {"ended_us": None, "value": None, "result_order": None}


def agents_by_id(connection: Connection, names: Sequence[str]) -> dict[str, AgentRow]:
    """Return the columns of agents that a lease needs, by agent id."""
    dialect = connection.dialect.name
    found = connection.execute(_agents_by_id(dialect), {"names": array_parameters.values(dialect, names)})
    return {row.id: row for row in found}


def seen(connection: Connection, names: Sequence[str], now: int) -> None:
    dialect = connection.dialect.name
    connection.execute(_seen(dialect), {"names": array_parameters.values(dialect, names), "now": now})


def repeated(
    connection: Connection, sweep: str, requests: Sequence[LeaseRequest]
) -> Mapping[tuple[str, str], list[TrialRow]]:
    """Return running trials that the same requests were given before, by agent and request."""
    dialect = connection.dialect.name
    request_ids = list({request.request_id for request in requests})
    given = connection.execute(
        _repeated(dialect), {"sweep": sweep, "requests": array_parameters.values(dialect, request_ids)}
    )
    found: dict[tuple[str, str], list[TrialRow]] = {}
    running = (row for row in given if row.state == StoredTrial.RUNNING)
    for row in sorted(running, key=lambda row: row.number):
        found.setdefault((row.agent, row.request_id), []).append(row)
    return found


def write_fresh(connection: Connection, sweep: str, now: int, own: Sequence[Sequence[object]]) -> list[FreshTrial]:
    """Insert new trials that run from now on.

    `own` has at least one row, with the values of the columns OWN.
    """
    dialect = connection.dialect.name
    given = array_parameters.row_values(dialect, _OWN_COLUMNS, "fresh", own)
    connection.execute(_write_fresh(dialect), {**given, "sweep": sweep, "now": now})
    shared = {**_SAME, **_UNKNOWN, "sweep": sweep, "created_us": now, "leased_us": now}
    return [FreshTrial(**shared, **dict(zip(OWN, values, strict=True))) for values in own]


@functools.cache
def _agents_by_id(dialect: str) -> Select[Any]:
    columns = (agents.c.id, agents.c.sweep, agents.c.state, agents.c.reason, agents.c.lease_s)
    return select(*columns).where(array_parameters.among(dialect, agents.c.id, "names"))


@functools.cache
def _seen(dialect: str) -> Update:
    return update(agents).where(array_parameters.among(dialect, agents.c.id, "names")).values(seen_us=bindparam("now"))


@functools.cache
def _repeated(dialect: str) -> Select[Any]:
    """Return the query for trials by request id, in a form that only the index of request ids suits.

    While a sweep is younger than its statistics, PostgreSQL expects one trial in it, takes any index that begins with
    the sweep, and reads all its trials.
    """
    of_sweep = func.coalesce(trials.c.sweep, "") == bindparam("sweep")
    return select(trials).where(array_parameters.among(dialect, trials.c.request_id, "requests"), of_sweep)


@functools.cache
def _write_fresh(dialect: str) -> Insert:
    own = array_parameters.rows(dialect, _OWN_COLUMNS, "fresh")
    same = {name: literal(value, trials.c[name].type) for name, value in _SAME.items()}
    now = bindparam("now", type_=trials.c.created_us.type)
    shared = {**same, "sweep": bindparam("sweep", type_=trials.c.sweep.type), "created_us": now, "leased_us": now}
    return insert(trials).from_select([*shared, *OWN], select(*shared.values(), *(own.c[name] for name in OWN)))
