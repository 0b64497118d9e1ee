"""The commands `runstream export` and `runstream import`."""

from __future__ import annotations

import argparse
from pathlib import Path

from runstream.api import Api
from runstream.archive.exporter import export_project
from runstream.archive.importer import import_project


def export(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="runstream export",
        description="Write a project to a folder: points of each run, documents, tables, media, and a manifest. "
        "Interrupted, it goes on when it is called again; repeated, it fetches what has changed.",
    )
    parser.add_argument("project", help="project or team/project")
    parser.add_argument("dir", type=Path, help="folder: empty, or one of an earlier export of the same")
    parser.add_argument("--runs", default="", help="only these run ids, with commas between them")
    parser.add_argument("--filter", default="", help="only runs that this filter lets through, as JSON: see Api().runs")
    parser.add_argument("--format", default="parquet", help="parquet, arrow or csv; only parquet can be imported")
    arguments = parser.parse_args(argv)
    runs = [run for run in arguments.runs.split(",") if run]
    manifest = export_project(Api(), arguments.project, arguments.dir, runs, arguments.filter, arguments.format)
    points = sum(found["rows"]["points"] for found in manifest.runs.values())
    print(f"exported {manifest.project}: {len(manifest.runs)} runs, {points:,} points to {arguments.dir}")
    if manifest.missing_contents:
        print(f"  {len(manifest.missing_contents)} contents are not on the server: the manifest names them")
    return 0


def import_(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="runstream import",
        description="Bring a folder of `runstream export` into a project, here or on another server, and count what "
        "arrived. Called again it changes nothing.",
    )
    parser.add_argument("dir", type=Path, help="folder of `runstream export`")
    parser.add_argument("--project", required=True, help="project or team/project to import into")
    arguments = parser.parse_args(argv)
    manifest = import_project(Api(), arguments.dir, arguments.project)
    points = sum(found["rows"]["points"] for found in manifest.runs.values())
    print(f"imported {len(manifest.runs)} runs, {points:,} points into {arguments.project}: the counts agree")
    return 0
