"""`runstream verify`, `delete` and `retention`: check, delete and keep stored runs, from the command line."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from runstream.api import Api, InvalidRequestError

_EXIT = {"complete": 0, "incomplete": 1, "open": 2, "damaged": 3}


def verify(argv: list[str]) -> int:
    """Exit status 0: complete; 1: incomplete; 2: some process has not finished, or is silent; 3: damaged."""
    parser = argparse.ArgumentParser(
        prog="runstream verify", description="Is everything stored that a run logged?", epilog=verify.__doc__
    )
    parser.add_argument("run", help="project/run or team/project/run; with --project: project or team/project")
    parser.add_argument("--project", action="store_true", help="every run of a project: those that are not complete")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--wait", type=float, default=0.0, metavar="S", help="ask again for so long, until complete")
    arguments = parser.parse_args(argv)
    if arguments.project:
        return _verify_project(arguments.run, arguments.json)
    run = Api().run(arguments.run)
    deadline = time.monotonic() + arguments.wait
    while (found := run.completeness)["verdict"] != "complete" and time.monotonic() < deadline:
        time.sleep(0.5)
    if arguments.json:
        print(json.dumps({"run": "/".join(run.path), **found}))
    else:
        print("\n".join(_sentences("/".join(run.path), found)))
    return _EXIT[found["verdict"]]


def _verify_project(path: str, as_json: bool) -> int:
    """Print a run's sentences as soon as they are known: a large project takes seconds."""
    counts = dict.fromkeys(_EXIT, 0)
    rows = documents = 0
    for run, found in Api().verdicts(path):
        counts[found["verdict"]] += 1
        rows, documents = rows + found["rows_counted"], documents + found["documents_counted"]
        if as_json:
            print(json.dumps({"run": f"{path}/{run}", **found}), flush=True)
        elif found["verdict"] != "complete":
            print("\n".join(_sentences(f"{path}/{run}", found)), flush=True)
    if not as_json:
        said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count) or "no runs"
        print(f"{path}: {said}; {rows:,} rows of points and {documents:,} of everything else were counted")
    return max((_EXIT[verdict] for verdict, count in counts.items() if count), default=0)


def delete(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="runstream delete", description="Delete for good; there is no way back.")
    parser.add_argument("path", help="a run, project/run or team/project/run; a project with --project")
    parser.add_argument("--metric", help="only this metric of the run")
    parser.add_argument("--project", action="store_true", help="the path names a project: delete it with all its runs")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    arguments = parser.parse_args(argv)
    if arguments.project and arguments.metric:
        raise InvalidRequestError("--project and --metric do not go together")
    api = Api()
    target: Any = api.project(arguments.path) if arguments.project else api.run(arguments.path)
    what = f"the project {target.path} with {target.run_count} runs" if arguments.project else f"the run {target.id}"
    what = f"the metric {arguments.metric!r} of {what}" if arguments.metric else what
    if not arguments.yes and not _agreed(f"delete {what} for good?"):
        print("nothing was deleted")
        return 1
    if arguments.metric:
        target.delete_metric(arguments.metric)
    else:
        target.delete()
    print(f"deleted {what}")
    return 0


def retention(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="runstream retention",
        description="Let the server delete runs of which nothing was heard for so many days.",
    )
    parser.add_argument("project", help="project or team/project")
    parser.add_argument("--days", type=int, required=True, help="0: keep for ever")
    arguments = parser.parse_args(argv)
    if arguments.days < 0:
        raise InvalidRequestError(f"--days is {arguments.days}: give 0 or more")
    project = Api().project(arguments.project)
    before = project.set_retention(arguments.days)
    print(f"{project.path}: {_days(arguments.days)} (was: {_days(before)})")
    return 0


def _sentences(path: str, found: dict[str, Any]) -> list[str]:
    logged, stored = found["points_logged"], found["points_stored"]
    lines = [f"{path}: {found['verdict']}", f"  points logged    {logged:>15,}", f"  points stored    {stored:>15,}"]
    rewritten = found["points_received"] - found["points_rejected"] - stored
    if rewritten > 0:
        lines.append(f"  logged again     {rewritten:>15,}  (same metric, rank and step: the last one is kept)")
    for name, meaning in (
        ("points_rejected", "refused by the server: step or time out of range"),
        ("points_dropped", "given up by the process: its spool was full, or damaged"),
    ):
        if found[name]:
            lines.append(f"  {name.removeprefix('points_'):<16} {found[name]:>15,}  ({meaning})")
    for gap in found["missing"][:20]:
        lines.append(
            f"  missing: records {gap['first']} to {gap['last']} of rank {gap['rank']}, writer {gap['writer']}"
        )
    if len(found["missing"]) > 20:
        lines.append(f"  and {len(found['missing']) - 20} more gaps")
    lines += [f"  {finding}" for finding in found["findings"]]
    if found["computed_by"]:
        lines.append(f"  computed at {found['computed']} by {found['computed_by']}:")
        for name, what in (("rows", "rows of points"), ("documents", "rows of everything else")):
            counted, proved = found[f"{name}_counted"], found[f"{name}_proved"]
            lines.append(f"    {counted:,} {what} counted, {proved:,} of them proved by their digests")
    if found["verdict"] == "open":
        lines.append("  some process has not finished, or what it logged has not all arrived: see `runstream status`")
    return lines


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise InvalidRequestError("there is no terminal to ask: give --yes")
    return input(f"runstream: {question} [y/N] ").strip().lower() in ("y", "yes")


def _days(days: int) -> str:
    return f"runs are deleted {days} days after their last sign of life" if days else "runs are kept for ever"
