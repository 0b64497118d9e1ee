"""A sweep as tables for people: the output of `runstream sweep show`, `list` and `best`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from runstream.sweeps.client import Client
from runstream.sweeps.create import described
from runstream.sweeps.sweep_info import SweepInfo, TrialInfo, flat
from runstream.sweeps.wording import number, shown

_RUNNING_SHOWN = 8


@dataclass(frozen=True, slots=True)
class SweepTable:
    """A table of text cells. The last column takes the width that is left, and is cut there."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[str] = frozenset({"#", "trial", "value", "runtime"})


@dataclass(frozen=True, slots=True)
class View:
    """The lines about a sweep, and its tables."""

    lines: tuple[str, ...]
    tables: tuple[SweepTable, ...]
    over: bool
    """True when nothing of the sweep changes any more: it has ended, and all values are known."""


def look(client: Client, sweep: str, top: int, now: datetime | None = None) -> View:
    """Ask the server for the state of a sweep. Raises ApiError."""
    found = client.call("GetSweepSummary", sweep=sweep, top=top)
    info = SweepInfo.of(found["sweep"])
    best = [TrialInfo.of(one) for one in found.get("best", [])]
    asked = client.call("ListTrials", sweep=sweep, states=["TRIAL_STATE_RUNNING"], order="ORDER_NEWEST", page_size=100)
    running = [TrialInfo.of(one) for one in asked.get("trials", [])]
    latest_asked = client.call("ListTrials", sweep=sweep, order="ORDER_NEWEST", page_size=_RUNNING_SHOWN * 4)
    latest = [one for one in map(TrialInfo.of, latest_asked.get("trials", [])) if one.state != "running"]
    pending = int(found.get("values_pending", 0))
    now = now or datetime.now(UTC)
    tables = [
        _trials(f"Top {len(best)} {_by(info)}", best, info, now, places=True),
        _trials(
            "Running",
            running[:_RUNNING_SHOWN],
            info,
            now,
            {one.run: _value_now(client, info, one) for one in running[:_RUNNING_SHOWN]},
        ),
        _trials("Latest", latest[:_RUNNING_SHOWN], info, now),
    ]
    return View(
        tuple(_head(info, found, best)),
        tuple(one for one in tables if one.rows),
        info.state in ("finished", "cancelled") and not running and not pending,
    )


def list_sweeps(client: Client, team: str, project: str) -> SweepTable:
    """Return a table of all sweeps of a project, newest first. Raises ApiError."""
    rows: list[tuple[str, ...]] = []
    token = ""
    while True:
        found = client.call("ListSweeps", team=team, project=project, page_size=200, page_token=token)
        for one in map(SweepInfo.of, found.get("sweeps", [])):
            ended = sum(one.counts.get(state, 0) for state in ("finished", "failed", "pruned", "cancelled"))
            size = f"{ended}/{one.size}" if one.size else str(ended)
            created = one.created.astimezone().strftime("%Y-%m-%d %H:%M") if one.created else ""
            rows.append((one.id, one.state, size, one.method, created, one.name))
        token = found.get("next_page_token", "")
        if not token:
            return SweepTable("", ("sweep", "state", "trials", "method", "created", "name"), tuple(rows))


def _head(info: SweepInfo, found: dict[str, Any], best: Sequence[TrialInfo]) -> list[str]:
    counts = info.counts
    ended = sum(counts.get(state, 0) for state in ("finished", "failed", "pruned", "cancelled"))
    name = f" {info.name}" if info.name else ""
    parts = [f"{counts[state]} {state}" for state in _STATES if counts.get(state)]
    lines = [
        f"sweep {info.id}{name} in {info.team}/{info.project}: {info.state}"
        + (f" ({info.reason})" if info.reason else ""),
        described(info),
        f"{ended}{f' of {info.size}' if info.size else ''} trials ended" + (f": {', '.join(parts)}" if parts else ""),
    ]
    agents = int(found.get("agents", 0))
    pace = [f"{agents} agent{'s' if agents != 1 else ''}", f"{float(found.get('trials_per_hour', 0)):.4g} trials/h"]
    if found.get("eta_s") is not None:
        pace.append(f"{duration(float(found['eta_s']))} left")
    if best and best[0].value is not None:
        lines.append(f"best so far: {number(best[0].value)} (trial {best[0].number}, run {best[0].run})")
    lines.append(", ".join(pace))
    if int(found.get("values_pending", 0)):
        lines.append(f"values still to come: {found['values_pending']}")
    if int(found.get("values_missing", 0)) and info.objectives:
        lines.append(f"{found['values_missing']} trials never logged {info.objectives[0].metric}: check its name")
    return lines


_STATES = ("running", "queued", "finished", "pruned", "failed", "cancelled", "added")


def _by(info: SweepInfo) -> str:
    return f"by {info.objectives[0].metric} ({info.objectives[0].goal})" if info.objectives else ""


def _trials(
    title: str,
    trials: Sequence[TrialInfo],
    info: SweepInfo,
    now: datetime,
    values: dict[str, float | None] | None = None,
    places: bool = False,
) -> SweepTable:
    rows = []
    varied = _varied(trials, info)
    for place, one in enumerate(trials, start=1):
        value = one.value if one.value is not None else (values or {}).get(one.run)
        parameters = {name: found for name, found in flat(one.parameters).items() if name in varied}
        failed = one.state == "failed" and one.message
        words = f"{one.message.splitlines()[-1]} — " if failed else ""
        cells = (str(one.number), one.state, value_text(value), runtime(one, now), words + shown(parameters, 400, 4))
        rows.append((str(place), *cells) if places else cells)
    columns = ("trial", "state", "value", "runtime", "parameters")
    return SweepTable(title, ("#", *columns) if places else columns, tuple(rows))


def _varied(trials: Sequence[TrialInfo], info: SweepInfo) -> set[str]:
    """Return the names of the parameters that differ between trials, or of all parameters where none differs."""
    seen: dict[str, set[str]] = {}
    for one in trials:
        for name, value in flat(one.parameters).items():
            seen.setdefault(name, set()).add(repr(value))
    fixed = {name for name, spec in (info.definition.get("parameters") or {}).items() if "value" in (spec or {})}
    varied = {name for name, values in seen.items() if len(values) > 1 and name not in fixed}
    return varied or set(seen)


def _value_now(client: Client, info: SweepInfo, trial: TrialInfo) -> float | None:
    """Return the last value that a running trial's run has logged, or None where it has logged none yet."""
    if not info.objectives:
        return None
    from runstream.errors import NotFoundError

    try:
        run = client.call("GetRun", team=info.team, project=info.project, run=trial.run, omit_completeness=True)
        return float(run["summary"][info.objectives[0].metric])
    except (NotFoundError, KeyError, TypeError, ValueError):
        return None


def value_text(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if math.isfinite(value) else str(value)


def runtime(trial: TrialInfo, now: datetime) -> str:
    if trial.state == "running" and trial.leased is not None:
        return duration((now - trial.leased).total_seconds())
    return duration(trial.duration_s) if trial.duration_s else "-"


def duration(seconds: float) -> str:
    """Return a duration as text: 12 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    seconds = max(seconds, 0.0)
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    for big, small, size, part in (("d", "h", 86400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {big}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def plain(view: View, width: int) -> str:
    """Return the view as text of at most `width` columns."""
    lines = [line if len(line) <= width else line[: width - 1] + "…" for line in view.lines]
    return "\n".join([*lines, *(f"\n{plain_table(table, width)}" for table in view.tables)])


def plain_table(table: SweepTable, width: int) -> str:
    rows = [table.columns, *table.rows]
    widths = [max(len(row[place]) for row in rows) for place in range(len(table.columns))]
    widths[-1] = min(widths[-1], max(width - sum(widths[:-1]) - 2 * (len(widths) - 1), 8))
    lines = [table.title] if table.title else []
    for row in rows:
        cells = []
        for name, cell, size in zip(table.columns, row, widths, strict=True):
            cell = cell if len(cell) <= size else cell[: size - 1] + "…"
            cells.append(cell.rjust(size) if name in table.right else cell.ljust(size))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def rich_view(view: View, rich: Any) -> Any:
    """Return the view as an object that `rich` renders; `rich` is the module."""
    import rich.console
    import rich.table
    import rich.text

    parts: list[object] = [rich.text.Text(line, no_wrap=True, overflow="ellipsis") for line in view.lines]
    for table in view.tables:
        drawn = rich.table.Table(
            title=table.title, title_justify="left", expand=True, box=rich.box.SIMPLE_HEAD, pad_edge=False
        )
        for name in table.columns:
            last = name == table.columns[-1]
            drawn.add_column(
                name,
                justify="right" if name in table.right else "left",
                no_wrap=True,
                ratio=1 if last else None,
                overflow="ellipsis",
            )
        for row in table.rows:
            drawn.add_row(*(rich.text.Text(cell) for cell in row))
        parts.append(drawn)
    return rich.console.Group(*parts)
