"""runstream: log from one process or from ten thousand ranks, without losing a record or slowing training down.

    import runstream

    run = runstream.init(project="digits", config={"lr": 0.1})
    for step in range(100):
        run.log({"loss": 1 / (step + 1)})
    run.finish()

Importing this module imports next to nothing. `init()` needs no network. `log()` returns when the record is in a
memory-mapped file that survives SIGKILL of this process. The names are W&B's: `import runstream as wandb` works.

Public is what this module exports, and `runstream.errors`, `runstream.settings`, `runstream.api` and
`runstream.integrations`. All other modules may change with every version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runstream.version import VERSION as __version__

if TYPE_CHECKING:
    import datetime
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from runstream.api import Api
    from runstream.api.ask_tell import Sweep
    from runstream.data import plots as plot
    from runstream.data.histogram import Histogram
    from runstream.data.image import Image
    from runstream.data.media_files import Audio, Html, Video
    from runstream.data.table import Table
    from runstream.errors import RunstreamError, SettingsError, SpoolError, UsageError
    from runstream.errors import RunstreamError as Error
    from runstream.runs.active_trial import TrialStopped
    from runstream.runs.alerts import AlertLevel
    from runstream.runs.config import Config
    from runstream.runs.run import Run
    from runstream.runs.summary import Summary
    from runstream.settings import Settings

    config: Config
    summary: Summary

__all__ = [
    "AlertLevel",
    "Api",
    "Audio",
    "Error",
    "Histogram",
    "Html",
    "Image",
    "Run",
    "RunstreamError",
    "Settings",
    "SettingsError",
    "SpoolError",
    "Sweep",
    "Table",
    "TrialStopped",
    "UsageError",
    "Video",
    "__version__",
    "agent",
    "alert",
    "config",
    "define_metric",
    "finish",
    "init",
    "log",
    "log_code",
    "login",
    "mark_preempting",
    "plot",
    "run",
    "save",
    "setup",
    "summary",
    "sweep",
    "teardown",
    "termerror",
    "termlog",
    "termwarn",
    "unwatch",
    "watch",
]

run: Run | None = None
"""The run that `init()` started last in this process. It is None before `init()` and after `finish()`."""

_LAZY = {
    "AlertLevel": "runstream.runs.alerts:AlertLevel",
    "Api": "runstream.api:Api",
    "Audio": "runstream.data.media_files:Audio",
    "Error": "runstream.errors:RunstreamError",
    "Histogram": "runstream.data.histogram:Histogram",
    "Html": "runstream.data.media_files:Html",
    "Image": "runstream.data.image:Image",
    "Run": "runstream.runs.run:Run",
    "RunstreamError": "runstream.errors:RunstreamError",
    "Settings": "runstream.settings:Settings",
    "SettingsError": "runstream.errors:SettingsError",
    "SpoolError": "runstream.errors:SpoolError",
    "Sweep": "runstream.api.ask_tell:Sweep",
    "Table": "runstream.data.table:Table",
    "TrialStopped": "runstream.runs.active_trial:TrialStopped",
    "UsageError": "runstream.errors:UsageError",
    "Video": "runstream.data.media_files:Video",
    "plot": "runstream.data.plots:",
}


def init(
    project: str | None = None,
    *,
    entity: str | None = None,
    dir: str | os.PathLike[str] | None = None,
    id: str | None = None,
    name: str | None = None,
    notes: str | None = None,
    tags: Iterable[str] | None = None,
    config: Mapping[str, object] | object | str | None = None,
    config_exclude_keys: Iterable[str] | None = None,
    config_include_keys: Iterable[str] | None = None,
    allow_val_change: bool | None = None,
    group: str | None = None,
    job_type: str | None = None,
    mode: str | None = None,
    reinit: str | bool | None = None,
    resume: str | bool | None = None,
    save_code: bool | None = None,
    rank: int | None = None,
    world_size: int | None = None,
    settings: Settings | Mapping[str, object] | None = None,
    **unknown: Any,
) -> Run:
    """Start a run, or this process's part of a run, and return it. The call needs no network.

    All ranks of a job share one run: rank, world size and run id are found from torchrun, SLURM or Open MPI,
    or are given. `config` is a mapping, an argparse namespace, or the path of a YAML file. `mode` is online, offline or
    disabled.
    `resume` says what happens when the run `id` exists: allow, never, must or auto. Where `resume` or `id` is given,
    `init()` asks the server for the run's state and waits `Settings.resume_timeout_s` at most; arguments that are not
    given then keep their stored values.
    `reinit` says what happens while a run is open: "return_previous", "finish_previous" or "create_new", as in W&B.
    Without it a notebook finishes the former run. A script finishes it when this call describes another run (name,
    config, ...), and otherwise gets the open run back.
    Arguments take precedence over `settings`, and `settings` over `RUNSTREAM_*` variables. Arguments that only W&B has
    warn once.

    Raises UsageError or SettingsError when the arguments or settings themselves are wrong. It raises nothing else
    unless `Settings.strict` is set: a value that cannot be recorded is reported, and training goes on.
    """
    global run
    from runstream.runs.start import start_run

    arguments: dict[str, Any] = {
        "project": project,
        "entity": entity,
        "name": name,
        "id": id,
        "config": config,
        "config_exclude_keys": config_exclude_keys,
        "config_include_keys": config_include_keys,
        "tags": tags,
        "notes": notes,
        "group": group,
        "job_type": job_type,
        "mode": mode,
        "rank": rank,
        "world_size": world_size,
    }
    if run is not None and run.finished:
        run = None
    if run is not None:
        from runstream.runs import reinit as rules

        chosen = rules.choose(run, reinit, arguments)
        if chosen == rules.RETURN:
            rules.add_config(run, arguments)
            return run
        if chosen == rules.FINISH:
            run.finish()
    run = start_run(
        **arguments,
        allow_val_change=allow_val_change,
        resume=resume,
        dir=dir,
        save_code=save_code,
        settings=settings,
        **unknown,
    )
    return run


def log(
    data: Mapping[str, object], step: int | None = None, commit: bool | None = None, sync: bool | None = None
) -> None:
    """Call `Run.log` of the current run."""
    _current("log").log(data, step, commit)


def define_metric(name: str, *arguments: Any, **options: Any) -> Any:
    """Call `Run.define_metric` of the current run."""
    return _current("define_metric").define_metric(name, *arguments, **options)


def alert(
    title: str,
    text: str = "",
    level: AlertLevel | str = "INFO",
    wait_duration: float | datetime.timedelta | None = None,
) -> None:
    """Call `Run.alert` of the current run."""
    _current("alert").alert(title, text, level, wait_duration)


def watch(
    models: object, criterion: object = None, log: str | None = "gradients", log_freq: int = 1000, **options: object
) -> None:
    """Call `Run.watch` of the current run."""
    _current("watch").watch(models, criterion, log, log_freq)


def unwatch(models: object = None) -> None:
    """Call `Run.unwatch` of the current run."""
    _current("unwatch").unwatch(models)


def save(
    glob_str: str | os.PathLike[str] | None = None,
    base_path: str | os.PathLike[str] | None = None,
    policy: str = "live",
) -> list[str]:
    """Call `Run.save` of the current run."""
    return _current("save").save(glob_str, base_path, policy)


def log_code(
    root: str | None = ".",
    name: str | None = None,
    include_fn: Callable[..., object] | None = None,
    exclude_fn: Callable[..., object] | None = None,
) -> list[str]:
    """Call `Run.log_code` of the current run."""
    return _current("log_code").log_code(root, name, include_fn, exclude_fn)


def mark_preempting() -> None:
    """Call `Run.mark_preempting` of the current run."""
    _current("mark_preempting").mark_preempting()


def finish(exit_code: int | None = None, quiet: bool | None = None, timeout: float | None = None) -> bool:
    """Call `Run.finish` of the current run. Return True when no run is open."""
    global run
    if run is None:
        return True
    current, run = run, None
    return current.finish(exit_code, quiet, timeout)


def sweep(
    sweep: Mapping[str, object] | Callable[[], Mapping[str, object]],
    entity: str | None = None,
    project: str | None = None,
    prior_runs: Sequence[str] | None = None,
) -> str:
    """Create a sweep from W&B's configuration (see docs/sweeps.md) and return its id, which `agent()` takes.

    `project` is created where it does not exist; the default is the configuration's project, else RUNSTREAM_PROJECT.
    `prior_runs` are ids of the project's runs that the search learns from. Raises ApiError of the kind that fits; its
    message names the path of a malformed entry in the configuration.
    """
    from runstream.sweeps.create import create_sweep

    return create_sweep(sweep, entity, project, prior_runs or ())


def agent(
    sweep_id: str,
    function: Callable[[], object] | None = None,
    entity: str | None = None,
    project: str | None = None,
    count: int | None = None,
) -> None:
    """Work on a sweep ("SWEEP", "project/SWEEP" or "team/project/SWEEP") until it is done or `count` trials ran.

    `function()` is called for each trial, in this thread. The `init()` within it takes the trial's run id, and the
    trial's parameters as `config`. An exception of the function fails the trial, and the agent goes on. A trial that
    must stop early gets `TrialStopped` from its next `log()`, unless the function reads `run.should_stop`. Without a
    function the agent starts the sweep's own program for each trial. Raises ApiError when the server refuses; waits
    while the server cannot be reached.
    """
    from runstream.sweeps.agent import run_agent

    run_agent(sweep_id, function, entity, project, count, after_trial=_forget_run)


def login(
    key: str | None = None,
    host: str | None = None,
    relogin: bool | None = None,
    verify: bool = False,
    timeout: float | None = None,
    **unknown: object,
) -> bool:
    """Store an API key for a server in a file that only you can read. Without `key`, ask for it on a terminal.

    With `verify`, ask the server whether it knows the key, and wait `timeout` seconds (default 5) at most. Returns True
    when a key is known afterwards. Raises UsageError when the key is malformed, or when the server does not know it.
    """
    from runstream.server.login import login as do_login

    return do_login(key, host, relogin=bool(relogin), verify=verify, timeout_s=timeout or 5.0)


def setup(*_: object, **__: object) -> None:
    """Do nothing. W&B has this function; runstream needs no setup."""


def teardown(exit_code: int | None = None) -> None:
    """Finish the run that is open."""
    finish(exit_code)


def termlog(string: str = "", newline: bool = True, repeat: bool = True) -> None:
    """Print a line on standard error."""
    _say(string)


def termwarn(string: str = "", newline: bool = True, repeat: bool = True) -> None:
    """Print a warning on standard error."""
    _say(f"warning: {string}")


def termerror(string: str = "", newline: bool = True, repeat: bool = True) -> None:
    """Print an error on standard error."""
    _say(f"error: {string}")


def _forget_run() -> None:
    global run
    run = None


def _say(sentence: str) -> None:
    from runstream.base.notices import Notices

    Notices(silent=False, strict=False).say(sentence)


def _current(what: str) -> Run:
    if run is None:
        from runstream.errors import UsageError

        raise UsageError(f"call runstream.init() before runstream.{what}()")
    return run


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        import importlib

        module, _, attribute = _LAZY[name].partition(":")
        found = importlib.import_module(module)
        return getattr(found, attribute) if attribute else found
    if name in ("config", "summary"):
        return getattr(_current(name), name)
    raise AttributeError(f"module 'runstream' has no attribute {name!r}")
