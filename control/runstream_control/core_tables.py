"""The tables as they are now, and the statements that bring an older database there."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

schema_version = Table("schema_version", metadata, Column("version", Integer, primary_key=True))
users = Table("users", metadata, Column("name", String(64), primary_key=True), Column("created_us", BigInteger))
teams = Table("teams", metadata, Column("name", String(64), primary_key=True), Column("created_us", BigInteger))
memberships = Table(
    "memberships",
    metadata,
    Column("user", String(64), ForeignKey("users.name"), primary_key=True),
    Column("team", String(64), ForeignKey("teams.name"), primary_key=True),
    Column("role", String(16), nullable=False),
)
api_keys = Table(
    "api_keys",
    metadata,
    Column("prefix", String(32), primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("user", String(64), ForeignKey("users.name"), nullable=False),
    Column("default_team", String(64), ForeignKey("teams.name"), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger),
    Column("revoked", Boolean, nullable=False, default=False),
    Column("name", String(100), nullable=False, server_default=""),
    Column("made_by", String(32), nullable=False, server_default=""),
    Column("revoked_us", BigInteger),
)
projects = Table(
    "projects",
    metadata,
    Column("team", String(64), ForeignKey("teams.name"), primary_key=True),
    Column("project", String(128), primary_key=True),
    Column("created_us", BigInteger, nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("retention_days", Integer, nullable=False, server_default="0"),
    Column("description", Text, nullable=False, server_default=""),
)
runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("team", String(64), nullable=False),
    Column("project", String(128), nullable=False),
    Column("run", String(128), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("last_epoch", Integer, nullable=False),
    Column("deleted_epoch", Integer, nullable=False, server_default="0"),
    UniqueConstraint("team", "project", "run"),
)
streams = Table(
    "streams",
    metadata,
    Column("run_id", Integer, ForeignKey("runs.id"), primary_key=True),
    Column("writer_id", String(64), primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    UniqueConstraint("run_id", "epoch"),
)
sessions = Table(
    "sessions",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("user", String(64), ForeignKey("users.name"), nullable=False),
    Column("key_prefix", String(32), ForeignKey("api_keys.prefix"), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
)
login_links = Table(
    "login_links",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("key_prefix", String(32), ForeignKey("api_keys.prefix"), nullable=False),
    Column("expires_us", BigInteger, nullable=False),
)
VERSION = 7
MIGRATIONS: dict[int, tuple[str, ...]] = {
    2: (
        "ALTER TABLE projects ADD COLUMN retention_days INTEGER DEFAULT 0 NOT NULL",
        "ALTER TABLE runs ADD COLUMN deleted_epoch INTEGER DEFAULT 0 NOT NULL",
    ),
    3: (),  # sessions and login_links: new tables only
    4: (),  # sweeps: new tables only
    5: ("ALTER TABLE projects ADD COLUMN description TEXT DEFAULT '' NOT NULL",),  # and saved, changes
    6: (
        "ALTER TABLE api_keys ADD COLUMN name VARCHAR(100) DEFAULT '' NOT NULL",
        "ALTER TABLE api_keys ADD COLUMN made_by VARCHAR(32) DEFAULT '' NOT NULL",
        "ALTER TABLE api_keys ADD COLUMN revoked_us BIGINT",
    ),
    7: (
        "DROP INDEX IF EXISTS sweep_trials_by_request",
        "CREATE INDEX IF NOT EXISTS sweep_trials_by_request_id ON sweep_trials (request_id)",
    ),
}
"""The statements that bring a database from the version before to this one, besides the tables that are missing.

Never change an applied statement.
"""
