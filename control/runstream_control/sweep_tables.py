"""The tables of sweeps; they are part of the control database's schema (`tables.py`).

Numbers that a lease needs (how many trials run, were drawn, ...) are kept in the sweep's row, under its lock, so that
no lease counts rows. States and causes are short words; `control/sweeps/model.py` lists them.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, String, Table, Text, UniqueConstraint

from runstream_control.core_tables import metadata as metadata

sweeps = Table(
    "sweeps",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("team", String(64), nullable=False),
    Column("project", String(128), nullable=False),
    Column("name", String(128), nullable=False),
    Column("description", Text, nullable=False),
    Column("definition", Text, nullable=False),
    Column("method", String(16), nullable=False),
    Column("notes", Text, nullable=False),  # a JSON list
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("started_us", BigInteger),
    Column("ended_us", BigInteger),
    Column("seed", BigInteger, nullable=False),
    Column("size", Text, nullable=False),  # the size of a grid: a whole number of any length; else empty
    Column("size_is_limit", Boolean, nullable=False),
    Column("run_cap", BigInteger),
    Column("max_parallel", BigInteger),
    Column("retries", Integer, nullable=False),
    Column("wall_time_s", Float),
    Column("trial_time_s", Float),
    Column("cost_limit", Float),
    Column("early_off", Boolean, nullable=False),
    Column("drawn", BigInteger, nullable=False),  # number of the last trial
    Column("place", Text, nullable=False),  # the place at which the grid goes on: a whole number of any length
    Column("exhausted", Boolean, nullable=False),
    Column("results", BigInteger, nullable=False),  # the number of known results, which gives them their order
    Column("queued", BigInteger, nullable=False),
    Column("running", BigInteger, nullable=False),
    Column("finished", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("pruned", BigInteger, nullable=False),
    Column("cancelled", BigInteger, nullable=False),
    Column("added", BigInteger, nullable=False),
    Column("cost", Float, nullable=False),
    Column("trial_seconds", Float, nullable=False),
    Column("request_id", String(64)),
    UniqueConstraint("created_by", "request_id"),
    Index("sweeps_by_project", "team", "project", "created_us"),
)
trials = Table(
    "sweep_trials",
    metadata,
    Column("sweep", String(16), primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("parameters", Text, nullable=False),
    Column("digest", String(32), nullable=False),
    Column("run", String(128), nullable=False),
    Column("resume", Boolean, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("losses", Integer, nullable=False),
    Column("agent", String(16), nullable=False),
    Column("lease", String(32), nullable=False),
    Column("request_id", String(64), nullable=False),  # the lease's request
    Column("created_us", BigInteger, nullable=False),
    Column("leased_us", BigInteger),
    Column("expires_us", BigInteger),  # set while the trial runs
    Column("ended_us", BigInteger),
    Column("duration_s", Float, nullable=False),
    Column("value_state", String(16), nullable=False),
    Column("value", Float),  # the first objective's value; NULL also for NaN, which SQLite cannot hold
    Column("values_json", Text, nullable=False),  # all objectives, with NaN and Infinity as Python's json writes them
    Column("result_order", BigInteger),
    Column("exit_code", Integer, nullable=False),
    Column("message", Text, nullable=False),
    Column("stop", String(16), nullable=False),  # why it must stop, or empty
    Column("stop_reason", Text, nullable=False),
    Column("cost", Float, nullable=False),
    Index("sweep_trials_by_state", "sweep", "state", "number"),
    Index("sweep_trials_by_result", "sweep", "result_order"),
    Index("sweep_trials_by_request_id", "request_id"),  # without the sweep: see sweeps/together.py
    Index("sweep_trials_by_digest", "sweep", "digest"),
    Index("sweep_trials_by_expiry", "state", "expires_us"),
    Index("sweep_trials_by_value_state", "value_state", "sweep"),
)
agents = Table(
    "sweep_agents",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("sweep", String(16), nullable=False),
    Column("user", String(64), nullable=False),
    Column("name", String(128), nullable=False),
    Column("host", String(255), nullable=False),
    Column("lease_s", Float, nullable=False),
    Column("failure_limit", Integer, nullable=False),
    Column("failure_window_s", Float, nullable=False),
    Column("guard_off", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("seen_us", BigInteger, nullable=False),
    Column("finished", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("ends", BigInteger, nullable=False),  # the trials that ended since it registered
    Column("recent_failures", Text, nullable=False),  # a JSON list of microseconds, since its last success
    UniqueConstraint("sweep", "user", "name"),
    Index("sweep_agents_by_sweep", "sweep", "seen_us"),
)
changes = Table(
    "sweep_changes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("sweep", String(16), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("author", String(64), nullable=False),
    Column("action", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Index("sweep_changes_by_sweep", "sweep", "id"),
)
reports = Table(
    "sweep_reports",
    metadata,
    Column("sweep", String(16), primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("step", BigInteger, primary_key=True),
    Column("value", Float),  # NULL means NaN
)
ALL = (reports, changes, trials, agents, sweeps)
