"""Keep the value that the run's own processes had reported for a field before a user changed it.

It is kept beside the change, in section `replaced` of the run's document, with the change's epoch. So a process that
resumes the run can tell a value that it repeats, which loses to the change, from a new one, which wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from runstream_query.base.storage import Storage

SECTION = "replaced"
_SECTIONS = ("run", "config")
"""The sections for which `init()` reports values."""

FieldKey = tuple[str, str]
"""(section, key)."""
KnownFields = Mapping[tuple[str, str, str], tuple[str, int]]
"""(run, section, key) -> (value as JSON, epoch of its writer)."""


def field_name(section: str, key: str) -> str:
    return f"{section}.{key}"


async def fields_before(storage: Storage, project: str, runs: Sequence[str], fields: Iterable[FieldKey]) -> KnownFields:
    """Return the fields that will be changed, and the values that earlier changes replaced. Raise StorageError."""
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


def replaced_value(known: KnownFields, run: str, section: str, key: str) -> str | None:
    """Return, as JSON, the processes' value that this change, or an earlier one, replaces.

    It is empty where there was no value, and None for a section that is not kept. The function is pure.
    """
    if section not in _SECTIONS:
        return None
    value, epoch = known.get((run, section, key), ("", 0))
    before, changed = known.get((run, SECTION, field_name(section, key)), ("", -1))
    return before if changed == epoch else value


async def edited_fields(storage: Storage, project: str, run: str) -> dict[str, object]:
    """Return by `section.key` the fields that users set, with the value that the run's processes had reported, as JSON.

    Raise StorageError.
    """
    return {row["key"]: row["value"] for row in await storage.rows("edited_fields", project=project, run=run)}
