"""Import a folder of `runstream export` into a project, through the same gateway as every logged record.

Each stream of the export becomes a stream of the import. Its new id follows from its source, so that a repeated import
sends the same batches, which changes nothing.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from runstream.api import Api, NotFoundError
from runstream.api.convert import split_path
from runstream.api.frames import need
from runstream.api.progress import TransferProgress
from runstream.archive import attempts, layout
from runstream.archive.attempts import Attempt, document_record, table_record, writer_id
from runstream.archive.cursors import RunRows, point_batches
from runstream.archive.layout import ArchiveError, Manifest
from runstream.archive.sending import StreamSender
from runstream.sender.link import DeletedRunError, Links, MediaRefusedError, PermanentError
from runstream.spool.folder import StreamMeta
from runstream.version import VERSION
from runstream_proto.v1 import export_pb2

_TABLES = ("texts", "histograms", "tables", "media", "files", "console", "alerts")
_GATHERED_BYTES = 64 << 20
"""The most bytes of all streams of a run that wait to be cut, however many ranks it has."""
_ATTEMPTS = 16
"""How many times an import begins anew because the target deleted the run after an earlier import."""


def import_project(api: Api, folder: Path, path: str) -> Manifest:
    """Import everything, and compare the counts. `path`: "project" or "team/project"; the project need not exist.

    Raises ArchiveError, MissingExtraError, ApiError, OSError.
    """
    need("pyarrow"), need("numpy")
    manifest = layout.read_manifest(folder / layout.MANIFEST)
    if manifest.question["format"] != "parquet":
        raise ArchiveError(f"{folder} is an export as {manifest.question['format']}: only parquet is imported")
    team, project = split_path(path, 2)
    team = team or default_team(api)
    _check_files(folder, manifest)
    known = _known_streams(api, team, project)
    _check_target(manifest, known, f"{team}/{project}")
    asyncio.run(_Import(api, folder, manifest, team, project, known).run())
    verify(api, manifest, team, project)
    return manifest


def default_team(api: Api) -> str:
    from runstream_proto.v1 import query_pb2 as pb

    return str(api.ask("WhoAmI", pb.WhoAmIRequest()).default_team)


def verify(api: Api, manifest: Manifest, team: str, project: str, within_s: float = 60.0) -> None:
    """Wait until the target has all rows, `within_s` seconds at most.

    Raises ArchiveError, whose message names the rows that did not arrive.
    """
    deadline = time.monotonic() + within_s
    while wrong := _differences(api, manifest, team, project):
        if time.monotonic() > deadline:
            more = f", and {len(wrong) - 5} more" if len(wrong) > 5 else ""
            raise ArchiveError(f"not everything arrived in {team}/{project}: {'; '.join(wrong[:5])}{more}")
        time.sleep(0.5)


def _differences(api: Api, manifest: Manifest, team: str, project: str) -> list[str]:
    counted: dict[str, export_pb2.RunRows] = {}
    ids = [run for run, found in sorted(manifest.runs.items()) if any(found["rows"].values())]
    for start in range(0, len(ids), 1000):
        request = export_pb2.CountRowsRequest(team=team, project=project, runs=ids[start : start + 1000])
        try:
            counted |= {found.run: found for found in api.ask("CountRows", request).runs}
        except NotFoundError as error:
            return [str(error)]
    wrong = []
    for run in ids:
        for kind, rows in manifest.runs[run]["rows"].items():
            got = getattr(counted[run], kind) if run in counted else 0
            if got != rows:
                wrong.append(f"{run} has {got} {kind}, not {rows}")
    return wrong


def _check_files(folder: Path, manifest: Manifest) -> None:
    with TransferProgress("checking", len(manifest.files), "files") as progress:
        for name, found in manifest.files.items():
            path = folder / name
            if not path.is_file() or layout.digest(path) != found["sha256"]:
                raise ArchiveError(f"{path} is missing, or not what the manifest says: export again")
            progress.add(1)


def _known_streams(api: Api, team: str, project: str) -> dict[str, set[tuple[str, str]]]:
    """Return run -> (writer, event) of the streams that the target has."""
    request = export_pb2.ExportRowsRequest(
        team=team,
        project=project,
        table=export_pb2.EXPORT_TABLE_STREAMS,
        format=export_pb2.EXPORT_FORMAT_CSV,
    )
    known: dict[str, set[tuple[str, str]]] = {}
    try:
        data = b"".join(chunk.data for chunk in api.stream("ExportRows", request, 600.0))
    except NotFoundError:
        return known
    for row in csv.DictReader(io.StringIO(data.decode())):
        known.setdefault(row["run"], set()).add((row["writer"], row["event"]))
    return known


def _check_target(manifest: Manifest, known: dict[str, set[tuple[str, str]]], target: str) -> None:
    """Refuse to import a run over one that was logged in the target. Raises ArchiveError."""
    for run in sorted(manifest.runs):
        foreign = [writer for writer, _ in known.get(run, ()) if not writer.startswith(attempts.MARK)]
        if foreign:
            raise ArchiveError(
                f"the run {run!r} of {target} was logged there, not imported: import into another project, or delete it"
            )


class _Import:
    """One import in progress."""

    def __init__(
        self,
        api: Api,
        folder: Path,
        manifest: Manifest,
        team: str,
        project: str,
        known: dict[str, set[tuple[str, str]]],
    ) -> None:
        self._api = api
        self._folder = folder
        self._manifest = manifest
        self._team = team
        self._project = project
        self._known = known
        self._links = Links()

    async def run(self) -> None:
        manifest = self._manifest
        tables = {name: RunRows(self._folder / f"{name}.parquet") for name in ("fields", "streams", *_TABLES)}
        total = sum(found["rows"]["points"] for found in manifest.runs.values())
        try:
            await self._contents()
            with TransferProgress("importing", total, "points") as progress:
                for run in sorted(manifest.runs):
                    progress.add(0, f"importing {run}")
                    await self._run(run, tables, progress)
        except PermanentError as error:
            raise ArchiveError(str(error)) from error
        finally:
            await self._links.close()
            for table in tables.values():
                table.close()

    async def _contents(self) -> None:
        """Upload the files first, so that every reference has its file."""
        paths = sorted(path for path in (self._folder / "contents").glob("??/*") if not path.name.startswith("."))
        run = min(self._manifest.runs, default="")
        with TransferProgress("importing contents", len(paths), "files") as progress:
            for path in paths:
                try:
                    await self._links.upload(
                        self._meta(run, "", 0, 1, 0), self._api.api_key, path, path.name, path.stat().st_size
                    )
                except MediaRefusedError as error:
                    raise ArchiveError(f"{path}: {error}") from error
                progress.add(1)

    async def _run(self, run: str, tables: dict[str, RunRows], progress: TransferProgress) -> None:
        streams = attempts.gather(tables["streams"].of(run))
        fields = list(tables["fields"].of(run))
        for again in range(_ATTEMPTS):
            for stream in streams:
                stream.new_writer = writer_id(self._manifest.project, run, stream.writer, again)
            try:
                await _RunImport(self, run, streams, again).send(fields, tables, progress)
                return
            except DeletedRunError:
                # The target deleted the run after an import: begin anew, under ids that were not deleted. Nothing was
                # sent yet.
                continue
        raise ArchiveError(f"the run {run!r} was deleted in {self._team}/{self._project} too often")

    def _meta(self, run: str, writer: str, rank: int, world_size: int, created_us: int) -> StreamMeta:
        settings = self._api.settings
        return StreamMeta(
            writer_id=writer,
            base_url=settings.base_url,
            gateway=settings.gateway_address,
            gateway_tls=settings.tls,
            key_prefix="",
            team=self._team,
            project=self._project,
            run=run,
            rank=rank,
            world_size=world_size,
            resume="allow",
            offline=False,
            helper=False,
            system=False,
            system_interval_s=0.0,
            created_us=created_us,
            pid=0,
            host="",
            sdk_version=VERSION,
        )

    def sender(self, run: str, stream: Attempt, siblings: int) -> StreamSender:
        created = stream.events.get("start", {}).get("time", 0)
        meta = self._meta(run, stream.new_writer, stream.rank, stream.world_size, created)
        return StreamSender(self._links, meta, self._api.api_key, siblings)

    @property
    def target(self) -> tuple[str, str]:
        return self._team, self._project

    @property
    def source(self) -> str:
        return self._manifest.project

    def points(self, run: str) -> Iterator[dict[str, Any]]:
        return point_batches(self._folder / self._manifest.runs[run]["points_file"])


class _RunImport:
    """One run: its streams are sent side by side, because the rows of all of them are mixed in each file."""

    def __init__(self, whole: _Import, run: str, streams: list[Attempt], again: int) -> None:
        self._whole = whole
        self._run = run
        self._streams = streams
        self._again = again
        self._senders: dict[str, StreamSender] = {}
        self._by_epoch = {stream.epoch: stream for stream in streams}
        self._by_rank: dict[int, Attempt] = {}
        for stream in streams:
            self._by_rank.setdefault(stream.rank, stream)

    async def send(self, fields: list[dict[str, Any]], tables: dict[str, RunRows], progress: TransferProgress) -> None:
        """Send the run. Raises RunDeletedError before anything was sent, else the errors of StreamSender."""
        try:
            for stream in self._streams:  # in order, because the target numbers its epochs in this order
                await self._sender(stream)
            await self._send(fields, tables, progress)
        finally:
            await asyncio.gather(*(sender.close() for sender in self._senders.values()))

    async def _send(self, fields: list[dict[str, Any]], tables: dict[str, RunRows], progress: TransferProgress) -> None:
        try:
            environments: dict[int, dict[str, object]] = {}
            for row in fields:
                if row["section"] == "environment":
                    stream = await self._stream(row["epoch"], 0)
                    environments.setdefault(stream.epoch, {})[row["key"]] = json.loads(row["value"])
            for stream in self._streams:
                stream.start(environments.get(stream.epoch))
            for row in fields:
                if row["section"] != "environment":
                    stream = await self._stream(row["epoch"], None)
                    stream.add(row["time"], **document_record(row))
                    await self._cut_full(stream)
            await self._tables(tables)
            await self._points(progress)
            for stream in self._streams:
                stream.end()
                await self._cut(stream)
            await asyncio.gather(*(sender.finish() for sender in self._senders.values()))
        except DeletedRunError as error:
            raise ArchiveError(f"while it was imported: {error}") from error

    async def _tables(self, tables: dict[str, RunRows]) -> None:
        writers = {stream.writer: stream.new_writer for stream in self._streams}
        for table in _TABLES:
            for row in tables[table].of(self._run):
                stream = await self._stream(row["epoch"], row["rank"])
                number = row["number"] if table == "alerts" else None
                stream.add(row["time"], number, **table_record(table, row, writers))
                await self._cut_full(stream)

    async def _points(self, progress: TransferProgress) -> None:
        np = need("numpy")
        for batch in self._whole.points(self._run):
            series = np.stack([batch["metric"].astype(np.int64), batch["rank"].astype(np.int64)])
            edges = np.flatnonzero(np.any(series[:, 1:] != series[:, :-1], axis=0)) + 1
            for start, end in _pieces([0, *edges.tolist(), len(batch["step"])]):
                metric, rank = batch["names"][batch["metric"][start]], int(batch["rank"][start])
                for epoch in np.unique(batch["epoch"][start:end]).tolist():
                    rows = np.flatnonzero(batch["epoch"][start:end] == epoch) + start
                    stream = await self._stream(epoch, rank)
                    stream.add_points(metric, batch["step"][rows], batch["time"][rows], batch["value"][rows])
                    await self._cut_full(stream)
            progress.add(len(batch["step"]))

    async def _stream(self, epoch: int, rank: int | None) -> Attempt:
        """Return the stream that logged a row.

        A row whose stream is not known (its start was lost) goes to a stream of its rank, which is made where there is
        none.
        """
        found = self._by_epoch.get(epoch)
        if found is not None and rank in (None, found.rank):
            return found
        wanted = rank or 0
        if wanted not in self._by_rank:
            name = f"rank-{wanted}"
            made = Attempt(name, wanted, -1 - wanted)
            made.new_writer = writer_id(self._whole.source, self._run, name, self._again)
            self._streams.append(made)
            self._by_rank[wanted] = made
        return self._by_rank[wanted]

    async def _sender(self, stream: Attempt) -> StreamSender:
        sender = self._senders.get(stream.new_writer)
        if sender is None:
            sender = self._whole.sender(self._run, stream, len(self._streams))
            self._senders[stream.new_writer] = sender
            await sender.open()
        return sender

    async def _cut_full(self, stream: Attempt) -> None:
        if stream.full:
            await self._cut(stream)
        elif sum(other.gathered for other in self._streams) > _GATHERED_BYTES:
            await self._cut(max(self._streams, key=lambda other: other.gathered))

    async def _cut(self, stream: Attempt) -> None:
        batch = stream.cut(*self._whole.target, self._run)
        if batch:
            await (await self._sender(stream)).send(batch)


def _pieces(edges: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield each pair of neighbouring edges."""
    previous: int | None = None
    for edge in edges:
        if previous is not None and edge > previous:
            yield previous, edge
        previous = edge
