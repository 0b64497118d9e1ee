"""`init()`: settings, rank and run id into a `Run`. Needs no network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runstream import ranks
from runstream._config import as_mapping
from runstream._run import Run, install_hooks
from runstream.credentials import Credentials, key_prefix
from runstream.errors import UsageError
from runstream.names import check_name, new_run_id
from runstream.notices import Notices
from runstream.settings import Settings

_runs_started = 0


def start_run(
    *,
    project: str | None = None,
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
    settings: Settings | Mapping[str, Any] | None = None,
) -> Run:
    """Make the `Run` that `runstream.init` returns; see there."""
    global _runs_started
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
    check_name("project", chosen.project)
    if chosen.entity:
        check_name("team", chosen.entity)
    if chosen.api_key:
        key_prefix(chosen.api_key)
    job = ranks.detect(
        rank=chosen.rank if chosen.rank >= 0 else None,
        world_size=chosen.world_size if chosen.world_size >= 1 else None,
    )
    run_id = _run_id(chosen, job)
    values = as_mapping(config)
    for key in values:
        if not isinstance(key, str):
            raise UsageError(f"config key {key!r} is no string")
    install_hooks()
    run = Run(chosen, run_id, job, values)
    _runs_started += 1
    _greet(run)
    return run


def _settings(given: Settings | Mapping[str, Any] | None, **arguments: Any) -> Settings:
    if isinstance(given, Settings):
        from dataclasses import replace

        return replace(given, **{name: value for name, value in arguments.items() if value is not None})
    extra = {name: value for name, value in dict(given or {}).items() if name in Settings.__dataclass_fields__}
    return Settings.from_environment(None, **{**extra, **{k: v for k, v in arguments.items() if v is not None}})


def _tags(tags: Iterable[str] | None) -> tuple[str, ...] | None:
    if tags is None:
        return None
    return (tags,) if isinstance(tags, str) else tuple(str(tag) for tag in tags)


def _run_id(settings: Settings, job: ranks.Job) -> str:
    if settings.run_id:
        return check_name("run id", settings.run_id)
    if job.world_size == 1:
        return new_run_id()
    return ranks.shared_run_id(job, _runs_started)


def _greet(run: Run) -> None:
    if run.rank != 0 or run.disabled:
        return
    notices = Notices(run.settings.silent, strict=False)
    ranks_text = f", {run.world_size} ranks" if run.world_size > 1 else ""
    notices.say(f"run {run.name} ({run.path}{ranks_text}), spool in {run.settings.root}")
    credentials = Credentials(run.settings.root)
    known = run.settings.api_key or credentials.find(run.settings.base_url)
    if run.settings.mode == "online" and not known:
        notices.say(
            f"no API key for {run.settings.base_url}: everything is recorded in the spool; "
            "run `runstream login`, and it is sent"
        )
