"""The log of changes. Each change is noted in the transaction that makes it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import Connection, insert

from runstream_common.times import now_us
from runstream_control.principal import Principal
from runstream_control.saved_tables import changes

_LONGEST_TEXT = 200
_LONGEST = 8192
"""The longest text of one noted change, in characters: a bulk change of 1000 runs takes 8 MB at most."""
TAGS = ("tags", "add_tags", "remove_tags")


def note(
    connection: Connection,
    principal: Principal,
    team: str,
    project: str,
    what: str,
    subjects: Mapping[str, int],
    change: Mapping[str, object],
) -> None:
    """Note a change of `subjects`, each given with its epoch. Tags are kept whole; other long texts are cut."""
    if not subjects:
        return
    common = {"team": team, "project": project, "what": what, "user": principal.user, "time_us": now_us()}
    common |= {"key_prefix": principal.key_prefix, "change": _brief(change)}
    connection.execute(insert(changes), [{**common, "subject": name, "epoch": n} for name, n in subjects.items()])


def _brief(change: Mapping[str, object]) -> str:
    kept = {key: value if key in TAGS else _cut(value) for key, value in change.items()}
    text = json.dumps(kept, ensure_ascii=False)
    if len(text) > _LONGEST:
        kept = {key: value if key in TAGS else _names(value) for key, value in kept.items()}
        text = json.dumps(kept, ensure_ascii=False)
    return text


def _cut(value: object) -> object:
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        return value[:_LONGEST_TEXT] + "…"
    if isinstance(value, dict):
        return {key: _cut(item) for key, item in value.items()}
    return value


def _names(value: object) -> object:
    """Return the first keys of a long document, or any other value as it is."""
    return [str(key)[:60] for key in list(value)[:20]] if isinstance(value, dict | list) else value
