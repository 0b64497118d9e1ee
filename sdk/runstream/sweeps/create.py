"""Creation of sweeps, from a dict as `runstream.sweep()` takes it or from a YAML file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from runstream.base.notices import Notices
from runstream.errors import UsageError
from runstream.settings import Settings
from runstream.sweeps.client import Client, new_request_id
from runstream.sweeps.sweep_info import SweepInfo


def create_sweep(
    config: Mapping[str, object] | Callable[[], Mapping[str, object]],
    entity: str | None,
    project: str | None,
    prior_runs: Sequence[str] = (),
) -> str:
    """See `runstream.sweep`."""
    client = Client(Settings.from_environment(None, entity=entity))
    info = create(client, config() if callable(config) else config, entity, project, prior_runs)
    notices = Notices(client.settings.silent, strict=False)
    notices.say(f"sweep {info.id} made ({info.path}): {described(info)}")
    for note in info.notes:
        notices.say(note)
    return info.id


def create(
    client: Client,
    config: Mapping[str, object],
    entity: str | None = None,
    project: str | None = None,
    prior_runs: Sequence[str] = (),
    check_only: bool = False,
) -> SweepInfo:
    """Create a sweep on the server, and return it as it is now.

    With `check_only`, create nothing, and return the sweep that would be created. Raises UsageError when the
    configuration cannot be JSON, ApiError when the server refuses it.
    """
    if not isinstance(config, Mapping):
        raise UsageError(f"a sweep's configuration is a dict, not {type(config).__name__}")
    settings = client.settings
    chosen = project or config.get("project") or (settings.project if "project" in settings.given() else "")
    found = client.call(
        "CreateSweep",
        team=entity or config.get("entity") or settings.entity,
        project=chosen or settings.project,
        definition_json=as_json(config),
        check_only=check_only,
        request_id=new_request_id(),
    )
    info = SweepInfo.of(found)
    if prior_runs and not check_only:
        trials = [{"run": str(run)} for run in prior_runs]
        client.call("AddTrials", sweep=info.id, trials=trials, request_id=new_request_id())
    return info


def described(info: SweepInfo) -> str:
    """Describe in one line what a sweep will do."""
    size = f"{'at most ' if info.size_is_limit else ''}{info.size} trials" if info.size else "no end of its own"
    goals = ", ".join(f"{one.goal} {one.metric}" for one in info.objectives)
    return f"{info.method}, {size}" + (f", {goals}" if goals else "")


def as_json(config: Mapping[str, object]) -> str:
    """Return the configuration as JSON; numpy's numbers and arrays become Python's.

    Raises UsageError, whose message names the value that JSON cannot hold.
    """
    try:
        return json.dumps(config, default=_plain)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the sweep's configuration: {error}") from error


def _plain(value: object) -> object:
    for convert in ("tolist", "item"):
        if hasattr(value, convert):
            return getattr(value, convert)()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset, range)):
        return sorted(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{value!r} is no value that a configuration holds: give numbers, texts, lists and dicts")


def read_yaml(path: Path) -> dict[str, object]:
    """Read a sweep's configuration file, YAML or JSON. Raises UsageError with a message of one sentence."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"{path}: {why}: give a sweep's configuration file") from error
    if path.suffix.lower() == ".json":
        try:
            found = json.loads(text)
        except ValueError as error:
            raise UsageError(f"{path} is no JSON: {error}") from error
    else:
        found = _load_yaml(text, path)
    if not isinstance(found, dict):
        raise UsageError(f"{path} holds no configuration: it must be a mapping with `method:` and `parameters:`")
    return found


def _load_yaml(text: str, path: Path) -> Any:
    yaml = import_yaml()
    try:
        return yaml.load(text, Loader=_loader(yaml))
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is no YAML: {' '.join(str(error).split())}") from error


def _loader(yaml: Any) -> Any:
    """Return a loader that reads `1e-3` as a number.

    YAML 1.1, which PyYAML reads, takes it for a text, and only `1.0e-3` for a number; no user means that.
    """
    import re

    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # the module is imported where it is needed
        pass

    number = re.compile(r"^[-+]?(?:[0-9][0-9_]*)(?:\.[0-9_]*)?[eE][-+]?[0-9]+$|^[-+]?\.[0-9]+[eE][-+]?[0-9]+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789."))
    return Loader


def import_yaml() -> ModuleType:
    """Return the module `yaml`. Raises UsageError that names the extra which brings it."""
    try:
        import yaml
    except ImportError:
        raise UsageError("YAML needs PyYAML: pip install 'runstream[sweep]'") from None
    return yaml
