"""`init()`: make a `Run` of settings, rank and run id.

It needs the network only to ask for a resumed run's last step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runstream.base.notices import Notices, warn_once
from runstream.base.run_names import check_name, new_run_id
from runstream.errors import SpoolError, UsageError
from runstream.ranks.job import Job, detect
from runstream.runs.active_trial import of_trial
from runstream.runs.config import as_mapping, selected
from runstream.runs.initial_document import Earlier, make_document
from runstream.runs.processes import install_hooks
from runstream.runs.run import Run
from runstream.sender.wire_time import wire_time
from runstream.server.key_file import Credentials, key_prefix
from runstream.settings import Settings, setting_fields, temporary_root

if TYPE_CHECKING:
    from runstream.runs.resume import AutoResume

_runs_started = 0
_WANDB_ONLY = frozenset(
    {"anonymous", "force", "tensorboard", "sync_tensorboard", "monitor_gym", "magic", "fork_from", "resume_from"}
)


def start_run(
    *,
    project: str | None = None,
    entity: str | None = None,
    name: str | None = None,
    id: str | None = None,
    config: object = None,
    config_exclude_keys: Iterable[str] | None = None,
    config_include_keys: Iterable[str] | None = None,
    allow_val_change: bool | None = None,
    tags: Iterable[str] | None = None,
    notes: str | None = None,
    group: str | None = None,
    job_type: str | None = None,
    mode: str | None = None,
    resume: str | bool | None = None,
    dir: object = None,
    rank: int | None = None,
    world_size: int | None = None,
    save_code: bool | None = None,
    settings: Settings | Mapping[str, object] | None = None,
    **unknown: object,
) -> Run:
    """Make the `Run` that `runstream.init` returns; its docstring describes the arguments."""
    _mention(unknown)
    chosen = _settings(
        settings,
        project=project,
        entity=entity,
        name=name,
        run_id=id,
        tags=_tags(tags),
        notes=notes,
        run_group=group,
        job_type=job_type,
        mode=mode,
        resume="allow" if resume is True else resume or None,
        dir=str(dir) if dir is not None else None,
        rank=rank,
        world_size=world_size,
    )
    chosen, parameters = _in_trial(chosen, {"project": project, "entity": entity, "id": id})
    chosen = _with_usable_key(_checked(chosen))
    job = detect(
        rank=chosen.rank if chosen.rank >= 0 else None,
        world_size=chosen.world_size if chosen.world_size >= 1 else None,
    )
    values = selected(_config_values(chosen, config), config_include_keys, config_exclude_keys)
    try:
        run = _begin(chosen, job, values, parameters, bool(allow_val_change))
    except Exception as error:
        if chosen.strict or isinstance(error, UsageError):
            raise
        Notices(chosen.silent, strict=False).warn(
            f"init(): {type(error).__name__}: {error}; nothing of this run is recorded (Settings(strict=True) raises)"
        )
        run_id = chosen.run_id or new_run_id()
        document = replace(make_document(chosen, run_id, {}, Earlier()), config=dict(values))
        run = Run(chosen.but(mode="disabled"), run_id, job, document, parameters=parameters)
    if save_code and run.rank == 0:
        run.log_code()
    return run


def _begin(
    settings: Settings, job: Job, config: Mapping[str, object], parameters: Mapping[str, object], allow_val_change: bool
) -> Run:
    global _runs_started
    auto = _auto_resume(settings)
    run_id = _run_id(settings, job, auto)
    earlier = _find_earlier(settings, run_id, job)
    document = make_document(settings, run_id, config, earlier, parameters)
    if document.unknown:
        Notices(settings.silent, strict=False).warn(
            f"config: {', '.join(document.unknown)} was recorded as *** and is not known here: give it to init() again"
        )
    install_hooks()
    options: dict[str, Any] = {
        "allow_val_change": allow_val_change,
        "resumed": bool(earlier.exists),
        "starting_step": 0 if earlier.last_step is None else earlier.last_step + 1,
        "auto_resume": auto if job.rank == 0 else None,
        "parameters": parameters,
    }
    run = _open_somewhere(settings, lambda usable: Run(usable, run_id, job, document, **options))
    if auto and job.rank == 0:
        auto.remember(run_id)
    _runs_started += 1
    _greet(run)
    return run


def _config_values(settings: Settings, config: object) -> Mapping[str, object]:
    """Return the values that `config` holds.

    A foreign object that raises when it is read is reported, and does not stop a training. Raises UsageError where
    `config` is of no type that holds a configuration.
    """
    try:
        return as_mapping(config)
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001  # a foreign object may raise anything
        sentence = f"init(): the config cannot be read ({type(error).__name__}: {error}): left out"
        Notices(settings.silent, settings.strict).complain("config", sentence)
        return {}


def _in_trial(settings: Settings, arguments: Mapping[str, object]) -> tuple[Settings, Mapping[str, object]]:
    """Return the settings that hold here, and the parameters of the sweep's trial, where this is one."""
    return of_trial(settings, arguments) if settings.sweep_param_path else (settings, {})


def _checked(settings: Settings) -> Settings:
    """Return the settings. Raises UsageError for a name that cannot be used."""
    check_name("project", settings.project)
    if settings.entity:
        check_name("team", settings.entity)
    if settings.run_id:
        check_name("run id", settings.run_id)
    return settings


def _with_usable_key(settings: Settings) -> Settings:
    """Return the settings without an API key that is malformed.

    Such a key is reported, and does not stop a training job: the records are sent with the right key later. Raises
    UsageError when `strict`.
    """
    if not settings.api_key:
        return settings
    try:
        key_prefix(settings.api_key)
    except UsageError as error:
        if settings.strict:
            raise
        Notices(settings.silent, strict=False).warn(f"{error}. The one that was given is left out")
        return settings.but(api_key="")
    return settings


def _open_somewhere(settings: Settings, make: Callable[[Settings], Run]) -> Run:
    """Return the run, with its spool where the settings say, else in a temporary folder, else not recorded at all.

    A folder that cannot be used is reported, and does not stop a training job. Raises SpoolError when `strict`.
    """
    try:
        return make(settings)
    except SpoolError as error:
        if settings.strict:
            raise
        problem = str(error)
    notices = Notices(settings.silent, strict=False)
    place = str(temporary_root())
    if place != str(settings.root):
        try:
            run = make(settings.but(dir=place))
            notices.warn(f"{problem}; recording in {place} instead")
            return run
        except SpoolError as error:
            problem += f"; {error}"
    notices.warn(f"{problem}: nothing of this run is recorded")
    return make(settings.but(mode="disabled"))


def _settings(given: Settings | Mapping[str, object] | None, **arguments: object) -> Settings:
    """Return the settings: arguments take precedence over `given`, and `given` over the environment."""
    extra = given.given() if isinstance(given, Settings) else dict(given or {})
    known = {spec.name for spec in setting_fields()}
    strange = {name: value for name, value in extra.items() if name not in known}
    if strange:
        Settings(**strange)  # warns about the names that it does not know
    chosen = {name: value for name, value in extra.items() if name in known}
    chosen |= {name: value for name, value in arguments.items() if value is not None}
    return Settings.from_environment(None, **chosen)


def _mention(unknown: Mapping[str, object]) -> None:
    for name, value in unknown.items():
        if value not in (None, False):
            whose = "W&B's, and not runstream's" if name in _WANDB_ONLY else "no argument that runstream knows"
            warn_once(f"init({name}=...): {whose}: ignored")


def _tags(tags: Iterable[str] | None) -> tuple[str, ...] | None:
    if tags is None:
        return None
    return (tags,) if isinstance(tags, str) else tuple(str(tag) for tag in tags)


def _run_id(settings: Settings, job: Job, auto: AutoResume | None) -> str:
    if settings.run_id:
        return settings.run_id
    if job.world_size > 1:
        from runstream.ranks.common_run_id import common_run_id

        run_id, problem = common_run_id(settings, job, _runs_started)
        if problem and settings.strict:
            raise UsageError(problem)
        if problem:
            Notices(settings.silent, strict=False).warn(problem)
        return run_id
    return (auto.run_id() if auto else "") or new_run_id()


def _auto_resume(settings: Settings) -> AutoResume | None:
    if settings.resume != "auto" or settings.mode == "disabled":
        return None
    from runstream.runs.resume import AutoResume

    return AutoResume(settings)


def _find_earlier(settings: Settings, run_id: str, job: Job) -> Earlier:
    """Return what is known of the run from earlier attempts.

    The server is asked where `resume` is set, where the launcher restarted the job, or where the id was given of a run
    that may exist. Raises UsageError where `resume` forbids that the run exists, or requires that it does.
    """
    if settings.mode == "disabled":
        return Earlier()
    continues = bool(settings.resume or job.restart_count)
    if not continues and not settings.run_id:
        return Earlier()
    if not continues and job.rank != 0:
        return Earlier(exists=None)  # rank 0 asks for all ranks, and reports what it found
    from runstream.runs.resume import find_earlier  # brings HTTP with it, which most runs never need

    earlier = find_earlier(settings, run_id, job.rank)
    if settings.resume == "must" and earlier.exists is False:
        raise UsageError(f"resume='must', and there is no run {run_id!r} in {settings.project}: check id and project")
    if settings.resume == "never" and earlier.exists and job.world_size == 1 and not job.restart_count:
        raise UsageError(f"resume='never', and the run {run_id!r} exists: choose another id, or resume='allow'")
    if not continues and job.world_size > 1:
        _say_overwritten(settings, run_id, earlier)
        return replace(earlier, last_step=None)
    if job.rank == 0:
        _say_continued(settings, run_id, earlier, continues)
    return earlier


def _say_continued(settings: Settings, run_id: str, earlier: Earlier, asked: bool) -> None:
    """Report the step at which the run goes on, where nobody asked for it, or the server did not say it."""
    notices = Notices(settings.silent, strict=False)
    step = 0 if earlier.last_step is None else earlier.last_step + 1
    if earlier.exists is None and settings.mode == "online":
        notices.say(
            f"the server did not say {'where' if asked else 'whether'} run {run_id} "
            f"{'stopped' if asked else 'exists'} ({earlier.trouble}): steps go on at {step}; "
            "give log(step=...) to choose"
        )
    elif earlier.exists and not asked:
        notices.warn(
            f"run {run_id} exists: it is continued at step {step}, as with resume='allow'. What is logged at earlier "
            "steps replaces what is there. Give another id for a run of its own, or resume='never' to be stopped"
        )


def _say_overwritten(settings: Settings, run_id: str, earlier: Earlier) -> None:
    if earlier.exists and earlier.last_step is not None:
        Notices(settings.silent, strict=False).warn(
            f"run {run_id} exists, and its ranks begin at step 0 again: what they log replaces what is there. "
            "Give resume='allow' on all ranks to continue it, or another id for a run of its own"
        )


def _greet(run: Run) -> None:
    if run.rank != 0 or run.disabled:
        return
    notices = Notices(run.settings.silent, strict=False)
    now_us = time.time_ns() // 1000
    if wire_time(now_us) != now_us:
        notices.warn(
            f"the clock of this machine is wrong ({now_us // 1_000_000} s since 1970): times are stored as 1970 or 2100"
        )
    about = [f"{run.world_size} ranks"] if run.world_size > 1 else []
    about += [f"going on at step {run.step}"] if run.resumed else []
    where = run.url if run.settings.mode == "online" else run.path
    text = f" ({', '.join(about)})" if about else ""
    notices.say(f"run {run.name}: {where}{text}, spool in {run.settings.root}")
    credentials = Credentials(run.settings.root)
    known = run.settings.api_key or credentials.find(run.settings.base_url)
    if run.settings.mode == "online" and not known:
        notices.say(
            f"no API key for {run.settings.base_url}: everything is recorded in the spool; "
            "run `runstream login`, and it is sent"
        )
