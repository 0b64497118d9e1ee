"""The tables of views, reports and changes; they are part of the control database's schema (`tables.py`)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from runstream_control.core_tables import metadata

saved = Table(
    "saved",
    metadata,
    Column("team", String(64), primary_key=True),
    Column("project", String(128), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("name", String(128), nullable=False),
    Column("content", Text, nullable=False),
    Column("shared", Boolean, nullable=False),
    Column("owner", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column("updated_by", String(64), nullable=False),
    Column("deleted_us", BigInteger, nullable=False),  # 0 where it is not deleted
)
changes = Table(
    "changes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("team", String(64), nullable=False),
    Column("project", String(128), nullable=False),
    Column("what", String(16), nullable=False),  # run | view | report | project
    Column("subject", String(128), nullable=False),
    Column("epoch", Integer, nullable=False),  # of a changed run: its rows' versions begin with the epoch; else 0
    Column("user", String(64), nullable=False),
    Column("key_prefix", String(32), nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("change", Text, nullable=False),  # JSON
    Index("changes_by_project", "team", "project", "id"),
    Index("changes_by_subject", "team", "project", "subject", "id"),
)
ALL = (saved, changes)
