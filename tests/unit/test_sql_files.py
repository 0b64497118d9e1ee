"""Rules that hold for every SQL file of the query service."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runstream_common.clickhouse.schema.migrator import load
from runstream_query.base.storage import sql_files

_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+).*?ORDER BY \(?([^)\n]*)\)?", re.DOTALL)
_FINAL = re.compile(
    r"\bFROM\s+(\w+)(?: AS \w+)?\s+FINAL\s+PREWHERE\b(.*?)(?=\bWHERE\b|\bGROUP BY\b|\bORDER BY\b|\)\s*$|\Z)", re.DOTALL
)
_WORD = re.compile(r"\b[a-z_]+\b(?!\()")
_LANGUAGE = {"rollups"}


def keys_of_tables() -> dict[str, set[str]]:
    text = "\n".join(migration.text for migration in load())
    return {table: {word.strip() for word in keys.split(",")} for table, keys in _TABLE.findall(text)}


@pytest.mark.parametrize("path", sorted(sql_files().values()), ids=lambda path: path.stem)
def test_what_is_filtered_before_final_is_the_key_only(path: Path) -> None:
    """All versions of a row have one key. Any other condition there could take the newest version away, and an older
    one would be seen."""
    text = re.sub(r"--[^\n]*", "", path.read_text(encoding="utf-8"))
    for table, condition in _FINAL.findall(text):
        bare = re.sub(r"\{\w+:[^}]*\}|'[^']*'", " ", condition)
        words = set(_WORD.findall(bare)) - _LANGUAGE
        assert words <= keys_of_tables()[table], f"{path.name}: {words - keys_of_tables()[table]} before FINAL"


def test_the_rule_above_would_find_a_condition_on_the_time() -> None:
    found = _FINAL.findall("SELECT 1 FROM points FINAL\nPREWHERE project = {p:String}\n  AND time > 0\nWHERE value > 1")
    assert found == [("points", " project = {p:String}\n  AND time > 0\n")]
    assert "points" in keys_of_tables() and "time" not in keys_of_tables()["points"]
