"""Hold projects' runs in memory as columns, so that a request about ten thousand runs is answered in milliseconds.

Stale values are never served. Before each request the parts of the tables are listed (a part never changes, see
`changed_parts.py`). If there are new parts, the runs that have rows in them are read again; if rows may have gone,
everything is read again. An answer shows the moment at which the parts were listed, or a later one.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from runstream_query.base.caller import as_the_server
from runstream_query.base.offload import offload
from runstream_query.base.storage import Storage, sql
from runstream_query.runs.encoded_documents import DocumentReader, EncodedDocuments
from runstream_query.runs.name_patterns import NamePatterns
from runstream_query.runs.selection.answer_cache import AnswerCache, Rows
from runstream_query.runs.selection.changed_parts import fresh_parts
from runstream_query.runs.selection.document_cache import DocumentCache
from runstream_query.runs.selection.field_column import FieldColumn, places_of
from runstream_query.runs.selection.loading import (
    FIELDS,
    POINTS,
    SERIES,
    STREAMS,
    BaseColumns,
    Source,
    load_base,
    load_columns,
)

_TABLES = (STREAMS, FIELDS, SERIES, POINTS)
"""In the order of the selects in `changed_runs.sql`."""
_PARTS = {STREAMS: "stream_parts", FIELDS: "field_parts", SERIES: "series_parts", POINTS: "point_parts"}
"""The parameter of `changed_runs.sql` for the parts of each table."""
_MAX_CHANGED = 2000
"""Changed runs that are read by name; if more have changed, all runs are read again."""
_MANY_NAMES = 10_000
"""From so many names of definitions on, they are put in order in a thread."""
_UNUSED_S = 600.0
_ATTEMPTS = 3
"""Attempts to read the changed runs while the list of parts stays the same."""
MAX_BYTES = 512 << 20
Parts = dict[str, set[str]]
"""By table, the names of its active parts."""


class DefinitionNames:
    """Names for which some run of a project has a definition."""

    def __init__(self, names: Iterable[str]) -> None:
        ordered = sorted(names)
        self._names = frozenset(ordered)
        self._patterns = NamePatterns(reversed(ordered))

    def matching(self, metric: str) -> tuple[str, ...]:
        """Return the names that match the metric: itself first, then the patterns; the one that counts comes first."""
        exact = (metric,) if metric in self._names else ()
        return (*exact, *(name for name in self._patterns.matching(metric) if name != metric))


@dataclass
class ProjectColumns:
    """The columns and answers of one project, up to date with `parts`."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    parts: Parts = field(default_factory=dict)
    base: BaseColumns | None = None
    columns: dict[Source, FieldColumn] = field(default_factory=dict)
    column_used_s: dict[Source, float] = field(default_factory=dict)
    """When each column was last used (monotonic)."""
    definitions: DefinitionNames | None = None
    own_keys: dict[str, bool] = field(default_factory=dict)
    """By summary key, whether some run may have set it itself."""
    documents: DocumentCache = field(default_factory=DocumentCache)
    answers: AnswerCache = field(default_factory=AnswerCache)
    used_s: float = 0.0
    checked_s: float = 0.0
    """When the last completed check for changes began (monotonic)."""

    @property
    def bytes(self) -> int:
        base = self.base.bytes if self.base is not None else 0
        return base + self.documents.bytes + self.answers.bytes + sum(column.bytes for column in self.columns.values())

    def forget_unused(self) -> None:
        """Forget the columns that were not used lately, so that they need not be kept up to date."""
        since_s = time.monotonic() - _UNUSED_S
        for source in [source for source in self.columns if self.column_used_s.get(source, 0.0) < since_s]:
            del self.columns[source]
        self.column_used_s = {source: used_s for source, used_s in self.column_used_s.items() if source in self.columns}

    def forget_columns(self, excess: int) -> int:
        """Forget the least recently used columns; return how many bytes are still in excess."""
        for source in sorted(self.columns, key=lambda source: self.column_used_s.get(source, 0.0)):
            if excess <= 0:
                break
            excess -= self.columns.pop(source).bytes
        return excess

    def forget(self) -> None:
        self.base, self.definitions = None, None
        self.documents.clear()
        self.answers.changed()
        self.columns.clear()
        self.own_keys.clear()

    def forget_table(self, table: str) -> None:
        """Forget what was read from this table."""
        self.documents.clear()
        self.answers.changed(table)
        for source in [source for source in self.columns if source.table == table]:
            del self.columns[source]
        if table == FIELDS:
            self.definitions = None
            self.own_keys.clear()


class RunTables:
    """The run columns of all projects; a query service has one object of this class. All methods raise StorageError."""

    def __init__(self, storage: Storage, max_bytes: int = MAX_BYTES, trusted: bool = True) -> None:
        """Hold at most about `max_bytes`.

        `trusted` says that one server answers all queries, so that its parts tell what has changed. Several replicas
        behind one address are each at another moment: then everything is read for each request.
        """
        self._storage = storage
        self._max_bytes = max_bytes
        self._trusted = trusted
        self._projects: dict[str, ProjectColumns] = {}

    @property
    def bytes(self) -> int:
        """About how many bytes of memory are held."""
        return sum(known.bytes for known in self._projects.values())

    def size(self, project: str) -> int:
        """Return how many runs of the project are held."""
        known = self._projects.get(project)
        return len(known.base.runs) if known is not None and known.base is not None else 0

    async def keys(self, project: str, summary: Sequence[str]) -> tuple[DefinitionNames, frozenset[str]]:
        """Return the names of definitions, and which of these summary keys some run may have set itself.

        A request begins with this call: what `columns` returns afterwards is at least as new. A request without summary
        keys needs no definitions and gets none.
        """
        known = self._projects.setdefault(project, ProjectColumns())
        requested_s = time.monotonic()
        async with _locked(known):
            await self._check_for_changes(project, known, requested_s)
            if not summary:
                return DefinitionNames(()), frozenset()
            unknown = [key for key in summary if key not in known.own_keys]
            if known.definitions is None or unknown:
                rows = await self._storage.rows("summary_keys", project=project, keys=unknown)
                names = [row["key"] for row in rows if row["section"] == "definition"]
                known.definitions = await offload(len(names) > _MANY_NAMES, DefinitionNames, names)
                own = {row["key"] for row in rows if row["section"] == "summary"}
                known.own_keys.update({key: key in own for key in unknown})
            return known.definitions, frozenset(key for key in summary if known.own_keys[key])

    async def columns(self, project: str, sources: Sequence[Source]) -> tuple[BaseColumns, dict[Source, FieldColumn]]:
        """Return the project's runs, and the columns of these sources."""
        known = self._projects.setdefault(project, ProjectColumns())
        async with _locked(known):
            if known.base is None:
                known.columns.clear()
                known.base = await load_base(self._storage, project, [])
            wanted = [source for source in sources if source not in known.columns]
            if wanted:
                known.columns |= await load_columns(self._storage, project, wanted, known.base, [])
            found = known.base, {source: known.columns[source] for source in sources}
        known.used_s = time.monotonic()
        known.column_used_s.update(dict.fromkeys(sources, known.used_s))
        self._make_room(project)
        return found

    async def documents(self, project: str, runs: Sequence[str], reader: DocumentReader) -> list[EncodedDocuments]:
        """Return whole documents of the first of these runs, of which `columns` told this request.

        `reader` reads those that are not held. See `DocumentCache.page`.
        """
        known = self._projects.get(project)
        whole = known.documents if known is not None and self._trusted else DocumentCache()
        return await whole.page(runs, reader)

    async def answer(self, project: str, table: str, key: Hashable, read: Callable[[], Awaitable[Rows]]) -> Rows:
        """Return the rows of `read` about a project's rows in a table; the kept ones if no row has changed since."""
        known = self._projects.setdefault(project, ProjectColumns())
        requested_s = time.monotonic()
        async with _locked(known):
            await self._check_for_changes(project, known, requested_s)
        return await known.answers.get(table, key, read)

    async def _check_for_changes(self, project: str, known: ProjectColumns, requested_s: float) -> None:
        """Apply what has changed in the tables.

        Concurrent requests share one check: a check that began after a request arrived is new enough for it.
        """
        if not self._trusted or known.checked_s <= requested_s:
            began_s = time.monotonic()
            await self._refresh(project, known)
            known.checked_s = began_s

    async def _refresh(self, project: str, known: ProjectColumns) -> None:
        before, known.parts = known.parts, {}  # unknown until what follows is done
        now = await self._list_parts()
        if not self._trusted or (known.base is None and before != now):
            known.forget()
        elif known.base is not None:
            now = await self._apply_changes(project, known, before, now)
        known.parts = now

    async def _list_parts(self) -> Parts:
        found: Parts = {table: set() for table in _TABLES}
        if self._trusted:
            for row in await self._storage.rows("parts_now", tables=list(_TABLES)):
                found[row["table"]].add(row["name"])
        return found

    async def _apply_changes(self, project: str, known: ProjectColumns, before: Parts, now: Parts) -> Parts:
        """Read the changed runs again; return the parts with which the columns then agree."""
        for _ in range(_ATTEMPTS):
            fresh = {table: fresh_parts(before.get(table, ()), now[table]) for table in _TABLES}
            if fresh[STREAMS] is None:
                break
            for table in (table for table, parts in fresh.items() if parts is None):
                known.forget_table(table)
            if not any(fresh.values()):
                return now
            changed = await self._changed_runs(project, known, fresh)
            later, _ = await asyncio.gather(self._list_parts(), self._reload(project, known, changed))
            # A part that was merged away before its rows were looked up has shown none: its rows are in another part
            # now.
            if all(set(parts or ()) <= later[table] for table, parts in fresh.items()):
                return now
            now = later
        known.forget()
        return now

    async def _changed_runs(
        self, project: str, known: ProjectColumns, fresh: Mapping[str, list[str] | None]
    ) -> dict[str, list[str]]:
        """Return by table the runs that have rows in these parts."""
        points = any(source.table == POINTS for source in known.columns)
        parts = {table: fresh[table] or [] for table in _TABLES if table != POINTS or points}
        asked = [table for table in _TABLES if parts.get(table)]
        if not asked:
            return defaultdict(list)
        # Of a table without fresh parts, even an empty answer costs the engine several milliseconds.
        selects = dict(zip(_TABLES, sql("changed_runs").split("UNION ALL"), strict=True))
        parameters: dict[str, Any] = {_PARTS[table]: parts[table] for table in asked}
        statement = "\nUNION ALL".join(selects[table] for table in asked)
        rows = await self._storage.ask(statement, project=project, limit=_MAX_CHANGED + 1, **parameters)
        changed: dict[str, list[str]] = defaultdict(list)
        for row in rows:
            changed[row["source"]].append(row["run"])
        return changed

    async def _reload(self, project: str, known: ProjectColumns, changed: dict[str, list[str]]) -> None:
        assert known.base is not None
        known.documents.changed({run for runs in changed.values() for run in runs})
        for table in (table for table, runs in changed.items() if runs):
            known.answers.changed(table)
        if len(changed[STREAMS]) > _MAX_CHANGED:
            known.forget()
            return
        for table in (FIELDS, SERIES, POINTS):
            if len(changed[table]) > _MAX_CHANGED:
                known.forget_table(table)
                changed[table] = []
        known.forget_unused()
        if changed[FIELDS]:
            known.definitions = None
            known.own_keys.clear()
        held = known.columns
        base, reloaded = await asyncio.gather(
            self._reload_base(project, known.base, changed[STREAMS]),
            self._reload_columns(project, held, known.base, changed),
        )
        if base.runs is not known.base.runs:
            places = places_of(base.runs, known.base.runs)
            # Rows of a new run may have been there before the run itself was: its values are read with it.
            came = base.runs.filter(pa.array(places < 0)).to_pylist()
            held = {source: column.take(places) for source, column in held.items()}
            every = {table: sorted({*changed[table], *came}) for table in (FIELDS, SERIES, POINTS)}
            reloaded = await self._reload_columns(project, held, base, every)
        # Assign both together and after the last await: a request may be cancelled at any await, with its client, and
        # what is held must fit together.
        known.base, known.columns = base, held | reloaded

    async def _reload_base(self, project: str, base: BaseColumns, runs: list[str]) -> BaseColumns:
        return base.updated(runs, await load_base(self._storage, project, runs)) if runs else base

    async def _reload_columns(
        self, project: str, held: Mapping[Source, FieldColumn], base: BaseColumns, changed: Mapping[str, list[str]]
    ) -> dict[Source, FieldColumn]:
        """Return the held columns with the values of these runs as they are now, for the runs that `base` has."""
        wanted = {table: [source for source in held if source.table == table] for table in (FIELDS, SERIES, POINTS)}
        tables = [table for table, sources in wanted.items() if sources and changed[table]]
        answers = await asyncio.gather(
            *(load_columns(self._storage, project, wanted[table], base, changed[table]) for table in tables)
        )
        found: dict[Source, FieldColumn] = {}
        for table, columns in zip(tables, answers, strict=True):
            where = np.zeros(len(base.runs), bool)
            places = places_of(pa.array(changed[table], pa.string()), base.runs)
            where[places[places >= 0]] = True
            found |= {source: held[source].replaced(where, now) for source, now in columns.items()}
        return found

    def _make_room(self, project: str) -> None:
        """Forget the least recently used projects, while more than `max_bytes` are held.

        The project of the present request gives up its columns first: otherwise its runs would be read again for each
        request.
        """
        sizes = {name: known.bytes for name, known in self._projects.items()}
        for name in sorted(self._projects, key=lambda name: self._projects[name].used_s):
            excess = sum(sizes.values()) - self._max_bytes
            if excess <= 0:
                return
            known = self._projects[name]
            if not known.lock.locked() and (name != project or known.forget_columns(excess) > 0):
                del self._projects[name], sizes[name]


@contextlib.asynccontextmanager
async def _locked(known: ProjectColumns) -> AsyncIterator[None]:
    """Hold the project's lock while it is read; all requests about the project wait for it.

    The work runs in the server's name (`as_the_server`), not in the queue of the user who came first.
    """
    async with known.lock:
        with as_the_server():
            yield
