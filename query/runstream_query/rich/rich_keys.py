"""Find the keys of values that are not scalars, and their steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runstream_common.limits import MAX_STEP
from runstream_proto.v1 import rich_pb2 as pb
from runstream_query.base.errors import UnknownNameError
from runstream_query.base.names import nearest
from runstream_query.base.storage import Storage
from runstream_query.runs.lookup import Lookup

KINDS = {
    "histogram": pb.KEY_KIND_HISTOGRAM,
    "table": pb.KEY_KIND_TABLE,
    "plot": pb.KEY_KIND_PLOT,
    "media": pb.KEY_KIND_MEDIA,
    "text": pb.KEY_KIND_TEXT,
}
KIND_NAMES = {number: name for name, number in KINDS.items()}
MAX_STEPS = 10_000
"""Steps in one answer; a slider has fewer positions."""


async def key_rows(
    storage: Storage,
    project: str,
    run: str,
    kinds: Sequence[str],
    search: str = "",
    after: Sequence[str] = ("", ""),
    limit: int = 10_000,
    only: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Return rows of `keys.sql`, which describes them."""
    return await storage.rows(
        "keys",
        project=project,
        run=run,
        kinds=list(kinds),
        only=list(only),
        search=search,
        after_key=after[0],
        after_kind=after[1],
        limit=limit,
    )


async def steps_of(
    storage: Storage,
    project: str,
    run: str,
    kind: str,
    key: str,
    *,
    prefix: bool = False,
    ranks: Sequence[int] = (),
    steps: tuple[int, int] = (-MAX_STEP, MAX_STEP),
) -> list[int]:
    """Return the steps at which a key was logged, ascending: the newest MAX_STEPS.

    With `prefix` all keys that begin with `key` count. `kind` is histogram, table or media.
    """
    rows = await storage.rows(
        "key_steps",
        project=project,
        run=run,
        kind=kind,
        key=key,
        prefix=int(prefix),
        ranks=list(ranks),
        min_step=steps[0],
        max_step=steps[1],
        limit=MAX_STEPS,
    )
    return [row["step"] for row in reversed(rows)]


async def explain_no_key(
    storage: Storage, lookup: Lookup, project: str, run: str, kinds: Sequence[str], key: str
) -> None:
    """Explain why nothing was found under a key: raise UnknownNameError if the run or the key is unknown."""
    await lookup.known_runs(project, [run])
    if not await key_rows(storage, project, run, kinds, only=[key]):
        known = [row["key"] for row in await key_rows(storage, project, run, kinds)]
        raise UnknownNameError(f"there is no {' or '.join(kinds)} {key[:100]!r} in {run}{nearest(key, known)}")
