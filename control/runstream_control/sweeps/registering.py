"""Register agents, in one transaction for all agents of a sweep that come at the same time."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, insert, select, update

from runstream_control.sweep_tables import agents, sweeps
from runstream_control.sweeps.model import AgentRow, Registration


def register(connection: Connection, sweep: str, calls: Sequence[Registration], now: int) -> list[AgentRow] | None:
    """See `SweepStore.register`."""
    if connection.execute(select(sweeps.c.id).where(sweeps.c.id == sweep)).first() is None:
        return None
    wanted = {(call.user, call.name): call for call in calls}  # of two calls with one name, the later one wins
    known = {key: row.id for key, row in _rows(connection, sweep, wanted).items()}
    fresh = [
        {"id": secrets.token_hex(8), "sweep": sweep, "user": call.user, "name": call.name, **_NEW, "created_us": now}
        | _anew(call, now)
        for key, call in wanted.items()
        if key not in known
    ]
    if fresh:
        connection.execute(insert(agents), fresh)
    again = [{"which": known[key], **_anew(call, now)} for key, call in wanted.items() if key in known]
    if again:
        connection.execute(update(agents).where(agents.c.id == bindparam("which")), again)
    rows = _rows(connection, sweep, wanted)
    return [rows[call.user, call.name] for call in calls]


_NEW = {"finished": 0, "failed": 0}


def _anew(call: Registration, now: int) -> dict[str, object]:
    return {**call.fields, "state": "active", "reason": "", "seen_us": now, "ends": 0, "recent_failures": "[]"}


def _rows(
    connection: Connection, sweep: str, wanted: Mapping[tuple[str, str], Registration]
) -> dict[tuple[str, str], AgentRow]:
    names = {name for _, name in wanted}
    found = connection.execute(select(agents).where(agents.c.sweep == sweep, agents.c.name.in_(names)))
    return {(row.user, row.name): row for row in found}
