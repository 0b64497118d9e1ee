"""runstream: log from one process or ten thousand ranks, lose nothing, pay nothing.

    import runstream

    run = runstream.init(project="digits", config={"lr": 0.1})
    for step in range(100):
        run.log({"loss": 1 / (step + 1)})
    run.finish()

Importing this imports next to nothing; `init()` needs no network; `log()` returns when the record is in a
memory-mapped file that survives SIGKILL of this process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runstream._version import VERSION as __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runstream._config import Config
    from runstream._run import Run
    from runstream._summary import Summary
    from runstream.api import Api
    from runstream.errors import RunstreamError, SettingsError, SpoolError, UsageError
    from runstream.settings import Settings

    config: Config
    summary: Summary

__all__ = [
    "Api",
    "Run",
    "RunstreamError",
    "Settings",
    "SettingsError",
    "SpoolError",
    "UsageError",
    "__version__",
    "alert",
    "config",
    "define_metric",
    "finish",
    "init",
    "log",
    "login",
    "run",
    "summary",
]

run: Run | None = None
"""The run that `init()` started last in this process; None before and after."""

_LAZY = {
    "Api": "runstream.api",
    "Run": "runstream._run",
    "RunstreamError": "runstream.errors",
    "Settings": "runstream.settings",
    "SettingsError": "runstream.errors",
    "SpoolError": "runstream.errors",
    "UsageError": "runstream.errors",
}


def init(
    project: str | None = None,
    *,
    entity: str | None = None,
    name: str | None = None,
    id: str | None = None,
    config: Mapping[str, Any] | object | None = None,
    tags: Iterable[str] | None = None,
    notes: str | None = None,
    group: str | None = None,
    job_type: str | None = None,
    mode: str | None = None,
    resume: str | bool | None = None,
    dir: str | None = None,
    rank: int | None = None,
    world_size: int | None = None,
    reinit: str | bool | None = None,
    settings: Settings | Mapping[str, Any] | None = None,
) -> Run:
    """Start a run, or this process's part of one, and return it. Needs no network and waits for nothing.

    All ranks of a job share one run: rank, world size and run id are found from torchrun, SLURM or Open MPI,
    or given. `mode`: online | offline | disabled; `resume`: allow | never | must, for an `id` that exists. A run that
    is still open is returned as it is, unless `reinit` is "create_new" or "finish_previous" (or True).
    Arguments go before `RUNSTREAM_*` variables. Raises UsageError, SettingsError or SpoolError.
    """
    global run
    from runstream.start import start_run

    if run is not None and reinit in (None, False, "default", "return_previous"):
        return run
    if run is not None and reinit in (True, "finish_previous"):
        run.finish()
    run = start_run(
        project=project,
        entity=entity,
        name=name,
        id=id,
        config=config,
        tags=tags,
        notes=notes,
        group=group,
        job_type=job_type,
        mode=mode,
        resume=resume,
        dir=dir,
        rank=rank,
        world_size=world_size,
        settings=settings,
    )
    return run


def log(data: Mapping[str, Any], step: int | None = None, commit: bool | None = None) -> None:
    """`Run.log` of the current run."""
    _current("log").log(data, step, commit)


def define_metric(name: str, **options: Any) -> None:
    """`Run.define_metric` of the current run."""
    _current("define_metric").define_metric(name, **options)


def alert(title: str, text: str = "", level: str = "INFO") -> None:
    """`Run.alert` of the current run."""
    _current("alert").alert(title, text, level)


def finish(exit_code: int | None = None, timeout: float | None = None) -> bool:
    """`Run.finish` of the current run; True when there is none."""
    global run
    if run is None:
        return True
    current, run = run, None
    return current.finish(exit_code, timeout)


def login(key: str | None = None, host: str | None = None) -> bool:
    """Remember an API key for a server, in a file that only you can read. Asks for it on a terminal.

    Returns True when a key is known afterwards. Raises UsageError when it is no key.
    """
    from runstream._login import login as do_login

    return do_login(key, host)


def _current(what: str) -> Run:
    if run is None:
        from runstream.errors import UsageError

        raise UsageError(f"call runstream.init() before runstream.{what}()")
    return run


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in ("config", "summary"):
        return getattr(_current(name), name)
    raise AttributeError(f"module 'runstream' has no attribute {name!r}")
