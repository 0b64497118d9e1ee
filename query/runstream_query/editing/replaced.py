"""What the run's own processes had said of a field before people changed it.

Kept beside the change, in section `replaced` of the run's document, with the change's epoch: so a process that resumes
the run can tell a value that it repeats, which loses to the change, from one that is new, which wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runstream_query.storage import Storage

SECTION = "replaced"
_SECTIONS = ("run", "config")
"""Of which `init()` says something."""

Field = tuple[str, str]
"""(section, key)"""
Known = Mapping[tuple[str, str, str], tuple[str, int]]
"""(run, section, key) -> (value as JSON, epoch of who wrote it)"""


def field_name(section: str, key: str) -> str:
    return f"{section}.{key}"


async def fields_before(storage: Storage, project: str, runs: Sequence[str], fields: Iterable[Field]) -> Known:
    """The fields that are about to be changed, and what they replaced. Raises StorageError."""
    wanted = [one for one in fields if one[0] in _SECTIONS]
    if not wanted:
        return {}
    pairs = [*wanted, *((SECTION, field_name(*one)) for one in wanted)]
    rows = await storage.rows(
        "fields_before",
        project=project,
        runs=list(runs),
        sections=[section for section, _ in pairs],
        keys=[key for _, key in pairs],
    )
    return {(row["run"], row["section"], row["key"]): (row["value"], row["epoch"]) for row in rows}


def replaced_value(known: Known, run: str, section: str, key: str) -> str | None:
    """Return, as JSON, what the field's change replaces, or what the changes before it replaced; empty where there was
    nothing; None where nothing is kept of this section. Pure."""
    if section not in _SECTIONS:
        return None
    value, epoch = known.get((run, section, key), ("", 0))
    before, changed = known.get((run, SECTION, field_name(section, key)), ("", -1))
    return before if changed == epoch else value


async def edited_fields(storage: Storage, project: str, run: str) -> dict[str, Any]:
    """`section.key` of the fields whose value people set, to what the run's processes had said, as JSON. Raises
    StorageError."""
    return {row["key"]: row["value"] for row in await storage.rows("edited_fields", project=project, run=run)}
