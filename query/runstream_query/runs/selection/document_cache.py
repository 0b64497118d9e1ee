"""Cache whole documents of the runs that were shown lately, beside the columns of their project."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from runstream_common.clickhouse.client import StorageRefusedError
from runstream_query.base.errors import EXPENSIVE_CODES
from runstream_query.runs.encoded_documents import DocumentReader, EncodedDocuments, Weights
from runstream_query.runs.large_values import fitting

_MAX_RUNS = 2000
_MAX_BYTES = 64 << 20
_MAX_WEIGHTS = 10_000
_RUN_BYTES = 300
"""About what a kept run takes beside its message."""


class DocumentCache:
    """The cached documents of one project's runs.

    The caller must call `changed` when rows of runs arrive, and `clear` when rows may be gone.
    """

    def __init__(self) -> None:
        self._held: dict[str, EncodedDocuments] = {}
        self._weights: dict[str, tuple[int, int]] = {}
        """What runs weighed when they were last read or weighed, also those that are not held.

        It says which runs a page need not read, because it ends before them. A weight that is too old lets a page end
        too early or too late, and shows nothing wrong.
        """
        self._changes = 0
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """About how many bytes of memory the documents take."""
        return self._bytes + _RUN_BYTES * len(self._held)

    def clear(self) -> None:
        self._changes += 1
        self._held.clear()
        self._bytes = 0

    def changed(self, runs: Iterable[str]) -> None:
        self._changes += 1
        for run in runs:
            self._drop(run)

    async def page(self, runs: Sequence[str], reader: DocumentReader) -> list[EncodedDocuments]:
        """Return the documents of the first of these runs: of as many as one answer carries, of one at least.

        Without a limit, a few runs with endless documents would make the list of their project useless for everybody.
        """
        runs = self._first(runs)
        held = {run: self._held[run] for run in runs if run in self._held}
        missing = [run for run in runs if run not in held]
        found: Mapping[str, EncodedDocuments] = {}
        before = self._changes
        if missing:
            try:
                found = await reader.read(missing, bounded=True)
            except StorageRefusedError as error:
                if error.code not in EXPENSIVE_CODES:
                    raise
                self._note(await reader.weigh(missing))
                runs = self._first(runs)
                before = self._changes
                found = await reader.read([run for run in runs if run not in held], bounded=False)
        self._note({run: one.weight for run, one in found.items()})
        if self._changes == before:  # otherwise rows that came meanwhile may be missing
            for run, one in found.items():
                self._keep(run, one)
        documents = [held.get(run) or found[run] for run in runs]
        return documents[: fitting(one.weight for one in documents)]

    def _first(self, runs: Sequence[str]) -> Sequence[str]:
        """Return as many of the first runs as one answer carries, as far as that is known."""
        return runs[: fitting(self._weights.get(run, (0, 0)) for run in runs)]

    def _note(self, weights: Weights) -> None:
        for run, weight in weights.items():
            self._weights.pop(run, None)
            self._weights[run] = weight
        while len(self._weights) > _MAX_WEIGHTS:
            del self._weights[next(iter(self._weights))]

    def _keep(self, run: str, one: EncodedDocuments) -> None:
        self._drop(run)
        if not one.lasting:
            return
        self._held[run] = one
        self._bytes += len(one.message)
        while len(self._held) > _MAX_RUNS or self._bytes > _MAX_BYTES:
            self._drop(next(iter(self._held)))

    def _drop(self, run: str) -> None:
        held = self._held.pop(run, None)
        if held is not None:
            self._bytes -= len(held.message)
