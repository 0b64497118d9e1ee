"""Export a project into a folder.

Every file gets its name when it is complete, the manifest last. An interrupted export goes on where it was, and a
repeated export fetches only the changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runstream.api import Api, InvalidRequestError, NotFoundError
from runstream.api.convert import split_path
from runstream.api.exporting import FORMATS, write_stream
from runstream.api.listing import filter_json
from runstream.api.progress import TransferProgress
from runstream.archive import layout
from runstream.archive.layout import ArchiveError, Manifest
from runstream.version import VERSION

if TYPE_CHECKING:
    from google.protobuf.message import Message

_COUNT_AT_ONCE = 1000


def export_project(
    api: Api,
    path: str,
    folder: Path,
    runs: Sequence[str] = (),
    filters: str = "",
    file_format: str = "parquet",
) -> Manifest:
    """Export a project, or some runs of it. Raises ArchiveError (for the folder), ApiError, OSError."""
    if file_format not in FORMATS:
        raise InvalidRequestError(f"the format is {file_format!r}: use one of {', '.join(FORMATS)}")
    if runs and filters:
        raise InvalidRequestError("name the runs, or filter them")
    team, name = split_path(path, 2)
    project = api.project(path)
    question: dict[str, Any] = {"runs": sorted(runs), "filter": filter_json(filters), "format": file_format}
    manifest = _begin(folder, Manifest(project.path, question))
    return _Export(api, team, name, folder, manifest, file_format).run(list(runs), question["filter"])


def _begin(folder: Path, manifest: Manifest) -> Manifest:
    """Return the manifest to go on with; while an export is in progress, the folder has no finished manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished, finished = folder / layout.UNFINISHED, folder / layout.MANIFEST
    if finished.exists():
        finished.replace(unfinished)
    if not unfinished.exists():
        if any(folder.iterdir()):
            raise ArchiveError(f"{folder} is not empty, and holds no export: choose another folder")
        manifest.write(unfinished)
        return manifest
    found = layout.read_manifest(unfinished)
    if (found.project, found.question) != (manifest.project, manifest.question):
        raise ArchiveError(
            f"{folder} holds an export of {found.project} with {found.question}: choose another folder, or ask the same"
        )
    return found


class _Export:
    """One export in progress."""

    def __init__(self, api: Api, team: str, project: str, folder: Path, manifest: Manifest, file_format: str) -> None:
        self._api = api
        self._team = team
        self._project = project
        self._folder = folder
        self._manifest = manifest
        self._format = FORMATS[file_format]
        self._suffix = layout.SUFFIXES[file_format]

    def run(self, wanted: list[str], filters: str) -> Manifest:
        manifest = self._manifest
        known = self._list_runs(wanted, filters)
        chosen = [] if not wanted and not filters else sorted(known)
        self._count(known, chosen)
        manifest.runs = known
        names = layout.points_names(known, self._suffix)
        (self._folder / "points").mkdir(exist_ok=True)
        with TransferProgress("exporting", len(known), "runs") as progress:
            for run in sorted(known):
                known[run]["points_file"] = names[run]
                self._points(run, names[run], known[run]["stamp"])
                progress.add(1, f"exporting points of {run}")
        everything = layout.stamp(*(found["stamp"] for found in known.values()))
        with TransferProgress("exporting", len(layout.TABLES), "tables") as progress:
            for table, number in layout.TABLES.items():
                self._rows(f"{table}{self._suffix}", number, chosen, self._format, everything)
                progress.add(1, f"exporting {table}")
        self._rows(layout.CONTENTS_LIST, layout.CONTENTS, chosen, FORMATS["csv"], everything)
        self._contents()
        self._end(names)
        return manifest

    def _list_runs(self, wanted: list[str], filters: str) -> dict[str, dict[str, Any]]:
        """List the runs, with the facts that show whether a run has changed.

        Also write `runs.jsonl`, which is for people and other programs.
        """
        from google.protobuf.json_format import MessageToJson

        hidden = self._folder / f".{layout.RUNS}.part"
        known: dict[str, dict[str, Any]] = {}
        with hidden.open("w", encoding="utf-8") as file:
            path = f"{self._team}/{self._project}" if self._team else self._project
            for run in self._api.runs(path, filters, per_page=500):
                if wanted and run.id not in wanted:
                    continue
                file.write(MessageToJson(run.whole_message, preserving_proto_field_name=True, indent=None) + "\n")
                known[run.id] = {"state": run.state, "heartbeat": run.message.heartbeat.ToJsonString()}
        missing = set(wanted) - known.keys()
        if missing:
            hidden.unlink()
            raise NotFoundError(f"there is no run {min(missing)!r} in {self._manifest.project}")
        hidden.replace(self._folder / layout.RUNS)
        self._note(layout.RUNS, "")
        return known

    def _count(self, known: dict[str, dict[str, Any]], chosen: list[str]) -> None:
        from runstream_proto.v1 import export_pb2 as pb

        counted: dict[str, pb.RunRows] = {}
        for start in range(0, max(len(chosen), 1), _COUNT_AT_ONCE):
            some = chosen[start : start + _COUNT_AT_ONCE]
            request = pb.CountRowsRequest(team=self._team, project=self._project, runs=some)
            counted |= {found.run: found for found in self._api.ask("CountRows", request).runs}
        for run, found in known.items():
            rows = counted.get(run)
            found["rows"] = {kind: getattr(rows, kind) if rows is not None else 0 for kind in layout.COUNTED}
            found["stamp"] = layout.stamp(run, found["state"], found["heartbeat"], found["rows"])

    def _points(self, run: str, name: str, stamp: str) -> None:
        from runstream_proto.v1 import export_pb2 as pb

        request = pb.ExportPointsRequest(
            team=self._team,
            project=self._project,
            runs=[run],
            format=self._format,  # type: ignore[arg-type]  # the enum's numbers
            with_epoch=True,
        )
        self._fetch("ExportPoints", request, name, stamp)

    def _rows(self, name: str, table: int, runs: list[str], file_format: int, stamp: str) -> None:
        from runstream_proto.v1 import export_pb2 as pb

        request = pb.ExportRowsRequest(
            team=self._team,
            project=self._project,
            runs=runs,
            table=table,  # type: ignore[arg-type]  # the enum's numbers
            format=file_format,  # type: ignore[arg-type]
        )
        self._fetch("ExportRows", request, name, stamp)

    def _fetch(self, method: str, request: Message, name: str, stamp: str) -> None:
        """Fetch one file, unless it is there already and its rows have not changed."""
        found = self._manifest.files.get(name)
        path = self._folder / name
        if found and found["stamp"] == stamp and path.exists() and path.stat().st_size == found["bytes"]:
            return
        write_stream(self._api, method, request, path)
        self._note(name, stamp)
        self._manifest.write(self._folder / layout.UNFINISHED)

    def _note(self, name: str, stamp: str) -> None:
        path = self._folder / name
        size = path.stat().st_size
        self._manifest.files[name] = {"sha256": layout.digest(path), "bytes": size, "stamp": stamp}

    def _contents(self) -> None:
        """Fetch images, files and large tables, each under its SHA-256."""
        lines = (self._folder / layout.CONTENTS_LIST).read_text(encoding="ascii").splitlines()[1:]
        names = [line.strip('"') for line in lines if line]
        missing = []
        with TransferProgress("exporting contents", len(names), "files") as progress:
            for sha256 in names:
                path = self._folder / layout.content_path(sha256)
                if not path.exists() and not self._content(sha256, path):
                    missing.append(sha256)
                progress.add(1)
        self._manifest.missing_contents = missing

    def _content(self, sha256: str, path: Path) -> bool:
        team, name = self._manifest.project.split("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden = path.with_name(f".{sha256}.part")
        checked = hashlib.sha256()
        try:
            with hidden.open("wb") as file:
                for data in self._api.content(team, name, sha256):
                    checked.update(data)
                    file.write(data)
            if checked.hexdigest() != sha256:
                raise ArchiveError(f"the content {sha256[:12]}... came damaged: export again")
            hidden.replace(path)
        except NotFoundError:
            return False
        finally:
            hidden.unlink(missing_ok=True)
        return True

    def _end(self, names: dict[str, str]) -> None:
        """Delete the files of runs that no longer exist, then write the manifest."""
        manifest, folder = self._manifest, self._folder
        kept = {
            *names.values(),
            layout.RUNS,
            layout.CONTENTS_LIST,
            *(f"{name}{self._suffix}" for name in layout.TABLES),
        }
        for name in sorted(manifest.files.keys() - kept):
            (folder / name).unlink(missing_ok=True)
            del manifest.files[name]
        manifest.written_by = f"runstream {VERSION}"
        manifest.exported_at = datetime.now(UTC).isoformat(timespec="seconds")
        manifest.write(folder / layout.MANIFEST)
        (folder / layout.UNFINISHED).unlink()
