"""Encodes the documents of runs once, for lists that show them again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.offload import offload
from runstream_query.base.storage import Storage
from runstream_query.runs import large_values as large
from runstream_query.runs.documents import RunDocuments, document_message, load, run_facts, unreadable
from runstream_query.runs.field_choice import ALL, FieldChoice
from runstream_query.runs.run_states import RunRow

_MANY_KEYS, _MANY_BYTES = 2000, 256 << 10
"""From so much on, messages are made in a thread."""
Weights = Mapping[str, tuple[int, int]]
"""By run, its keys and bytes."""


@dataclass(frozen=True, slots=True)
class EncodedDocuments:
    """What the documents of one run say, as the bytes of a `Run` message without the facts of its streams."""

    message: bytes
    keys: int
    lasting: bool
    """Whether this stays true until rows of the run come to its documents or its series."""

    @property
    def weight(self) -> tuple[int, int]:
        """Return the number of keys and of bytes."""
        return self.keys, len(self.message)


class DocumentReader:
    """Reads the documents of one project's runs as a list shows them. All methods raise StorageError."""

    def __init__(self, storage: Storage, project: str, columns: FieldChoice = ALL) -> None:
        self._storage = storage
        self._project = project
        self._columns = columns

    async def read(self, runs: Sequence[str], *, bounded: bool) -> Mapping[str, EncodedDocuments]:
        """Return the documents of these runs. `bounded`: let the engine refuse more than a page can carry."""
        loaded = await load(self._storage, self._project, runs, columns=self._columns, bounded=bounded)
        keys = {run: loaded.keys(run) for run in runs}
        heavy = loaded.is_large or sum(keys.values()) > _MANY_KEYS
        return await offload(heavy, _encode, self._project, loaded, keys)

    async def weigh(self, runs: Sequence[str]) -> Weights:
        """Return about how much the documents of these runs are."""
        rows = await self._storage.rows(
            "page_sizes", project=self._project, runs=list(runs), longest=large.LONGEST_IN_LIST, most=large.MOST_IN_LIST
        )
        return {row["run"]: (row["keys"], row["bytes"]) for row in rows}


def _encode(project: str, loaded: RunDocuments, keys: dict[str, int]) -> dict[str, EncodedDocuments]:
    return {
        run: EncodedDocuments(
            document_message(project, run, loaded).SerializeToString(), count, run not in loaded.of_points
        )
        for run, count in keys.items()
    }


async def make_listed(project: str, rows: Sequence[RunRow], documents: Sequence[EncodedDocuments]) -> list[pb.Run]:
    """Return the messages of runs from rows of `runs.sql` and the documents of the same runs."""
    heavy = sum(len(one.message) for one in documents) > _MANY_BYTES
    return await offload(heavy, _decode, project, rows, documents)


def _decode(project: str, rows: Sequence[RunRow], documents: Sequence[EncodedDocuments]) -> list[pb.Run]:
    return [_listed(project, row, one) for row, one in zip(rows, documents, strict=True)]


def _listed(project: str, row: RunRow, documents: EncodedDocuments) -> pb.Run:
    run = run_facts(project, row)
    try:
        run.MergeFromString(documents.message)
    except Exception as error:  # noqa: BLE001  # no list fails because of one run
        run = run_facts(project, row)
        run.MergeFrom(unreadable(project, run.id, error))
    return run
