"""Finds what differs between runs. All functions are pure."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence

from runstream_proto.v1 import query_pb2 as pb
from runstream_query.runs.documents import to_value

MAX_DIFF_LINES = 2000
"""Lines of one unified diff in the answer."""
MAX_COMPARED_LINES = 5000
"""Lines of each text that are compared: difflib takes quadratic time at worst."""
GIT_KEYS = ("git_remote", "git_commit", "git_dirty")
_ELSEWHERE = frozenset({*GIT_KEYS, "git_diff", "packages", "variables"})


def differences(documents: Sequence[Mapping[str, object]], everything: bool) -> list[pb.Difference]:
    """Return how flat documents, one for each run, differ from the first, sorted by key.

    `everything`: also return the keys on which all documents agree.
    """
    found = []
    for key in sorted(set().union(*documents)):
        present = [key in document for document in documents]
        values = [_comparable(document[key]) if key in document else None for document in documents]
        same = all(present) and len(set(values)) == 1
        if same and not everything:
            continue
        difference = pb.Difference(key=key, present=present, change=_change(present, same))
        difference.values.extend(to_value(document.get(key)) for document in documents)
        found.append(difference)
    return found


def environment(document: Mapping[str, object]) -> dict[str, object]:
    """Return an environment without packages, variables and git: Python, platform, command, hardware."""
    return {key: value for key, value in document.items() if key not in _ELSEWHERE}


def part(document: Mapping[str, object], name: str) -> dict[str, object]:
    """Return one section of an environment, `packages` or `variables`; empty where there is none."""
    found = document.get(name)
    return dict(found) if isinstance(found, dict) else {}


def git(document: Mapping[str, object]) -> dict[str, object]:
    return {key.removeprefix("git_"): document[key] for key in GIT_KEYS if document.get(key) not in (None, "")}


def git_diff(run: str, first: Mapping[str, object], other: Mapping[str, object]) -> pb.GitDiff | None:
    """Return the diff from the first run's uncommitted changes to another run's. None where both are the same."""
    before, after = (str(document.get("git_diff") or "").splitlines() for document in (first, other))
    if before == after:
        return None
    cut = max(len(before), len(after)) > MAX_COMPARED_LINES
    lines: list[str] = []
    for line in difflib.unified_diff(
        before[:MAX_COMPARED_LINES], after[:MAX_COMPARED_LINES], "uncommitted in the first", f"uncommitted in {run}",
        lineterm="",
    ):  # fmt: skip
        if len(lines) == MAX_DIFF_LINES:
            cut = True
            break
        lines.append(line)
    return pb.GitDiff(run=run, unified_diff="\n".join(lines), truncated=cut)


def _comparable(value: object) -> str:
    """Return a text that is equal for equal values: 1 and 1.0 are equal, NaN equals NaN, true is not 1."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True)


def _change(present: Sequence[bool], same: bool) -> pb.Difference.Change.ValueType:
    if same:
        return pb.Difference.CHANGE_SAME
    if not present[0]:
        return pb.Difference.CHANGE_ADDED
    return pb.Difference.CHANGE_CHANGED if any(present[1:]) else pb.Difference.CHANGE_REMOVED
