"""The settings of the SDK: arguments of `init()` come first, then `RUNSTREAM_*` variables, then defaults."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runstream.base.notices import warn_once
from runstream.errors import SettingsError
from runstream.spool.quota import POLICIES

DEFAULT_BASE_URL = "http://127.0.0.1:7461"
DEFAULT_GATEWAY_PORT = 7460
DEFAULT_QUERY_PORT = 7462
MODES = ("online", "offline", "disabled")
RESUMES = ("", "allow", "never", "must", "auto")
SENDERS = ("process", "thread", "none")
CONSOLES = ("auto", "off")
SPOOL_IOS = ("auto", "map", "append")
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


_WANDB_VARIABLES = (
    "entity",
    "project",
    "run_id",
    "name",
    "run_group",
    "job_type",
    "tags",
    "notes",
    "resume",
    "mode",
    "silent",
    "agent_kill_delay",
    "agent_disable_flapping",
    "agent_max_initial_failures",
)
"""Fields that `WANDB_<FIELD>` sets where RUNSTREAM_WANDB_VARIABLES is true and `RUNSTREAM_<FIELD>` is unset."""
_WANDB_NAMES = {"x_disable_stats": ("system_metrics", False), "_disable_stats": ("system_metrics", False)}
_CONSOLE_NAMES = {"wrap": "auto", "redirect": "auto", "wrap_raw": "auto", "wrap_emu": "auto"}


@dataclass(frozen=True, slots=True, init=False)
class Settings:
    """All settings of the SDK. Each field is also the variable `RUNSTREAM_<FIELD>`, in upper case.

    Construct it as `Settings(field=value, ...)`. Names that only W&B has warn once and do nothing. Raises
    SettingsError.
    """

    api_key: str = field(default="", repr=False)
    base_url: str = DEFAULT_BASE_URL
    """The address of the query service, for browsers and programs."""
    gateway: str = ""
    """The gateway that takes points, `host:port`; default: `base_url`'s host, port 7460. It uses TLS where `base_url`
    is https."""
    query_grpc: str = ""
    """The gRPC address that `Api` uses, `host:port`; default: `base_url`'s host, port 7462."""
    entity: str = ""
    """The team; the default is the API key's team."""
    project: str = "uncategorized"
    run_id: str = ""
    name: str = ""
    notes: str = ""
    tags: tuple[str, ...] = ()
    """The run's tags; the variable separates them by commas."""
    run_group: str = ""
    job_type: str = ""
    mode: str = "online"
    """online | offline (spool only, send later by `runstream sync`) | disabled (every call does nothing)"""
    resume: str = ""
    """allow: continue the run that the id names, or begin it | never: only begin | must: only continue | auto:
    continue this folder's last run of the project if it is unfinished | empty: as allow, but asks no server"""
    dir: str = ""
    """The spool's folder; default: `$XDG_STATE_HOME/runstream`, else `~/.local/state/runstream`."""
    rank: int = -1
    """The process's rank; -1 takes it from the launcher."""
    world_size: int = -1
    finish_timeout_s: float = 60.0
    """How long `finish()` waits for the server at most; records that are not sent then stay in the spool."""
    sender: str = "process"
    """process: start the node's sender when there is none | thread: send from this process, where no process can be
    started | none: something else sends the records"""
    sender_patience_s: float = 600.0
    """How long the sender goes on trying after its last trainer has ended."""
    spool_limit_mb: int = 32_768
    """The disk space that the unsent records of one process may use, in MiB."""
    spool_segment_kb: int = 8192
    """The size of a spool file, in KiB. A small one frees its disk space sooner; a large one is made less often."""
    when_full: str = "drop_new"
    """What happens when the spool or the disk is full: block | drop_oldest | drop_new. Dropped values are counted and
    reported."""
    spool_io: str = "auto"
    """map | append (plain writes, for file systems that cannot map) | auto: append on network file systems"""
    max_media_mb: int = 512
    """The largest size of one image, video, table or file, in MiB."""
    console: str = "auto"
    """auto: keep the output that this process prints | off"""
    console_limit_mb: int = 64
    """How much console output of one process may wait on disk, in MiB; the capture stops beyond it."""
    system_metrics: bool = True
    """Sample CPU, memory, disks, network, GPUs of the node, and the process."""
    system_interval_s: float = 10.0
    capture_environment: bool = True
    """Keep command, Python, packages, git state, hardware and the usual environment variables (secrets masked)."""
    capture_variables: tuple[str, ...] = ()
    """Patterns of more environment variables to keep, `MY_*`; the variable separates them by commas."""
    capture_diff: bool = True
    """Keep the diff of uncommitted changes (secrets masked)."""
    mask_secrets: bool = True
    """Record config values that look like secrets, by their key or form, as `***`."""
    sigterm_timeout_s: float = 8.0
    """How long SIGTERM waits for the server; SLURM and Kubernetes kill 30 s later by default."""
    resume_timeout_s: float = 3.0
    """How long a resumed run asks the server for its last step."""
    sweep_id: str = ""
    """The sweep that this process runs a trial of; set by its agent."""
    sweep_param_path: str = ""
    """The JSON file of the trial's parameters; set by its agent. The run then takes its id, project and team from the
    agent."""
    agent_kill_delay: float = 20.0
    """Seconds between SIGTERM and SIGKILL for a trial's program that must end."""
    agent_disable_flapping: bool = False
    """Let agents go on however many of their trials fail."""
    agent_max_initial_failures: int = 0
    """An agent stops when this many of its last trials failed within a minute; 0: the server's default, 3."""
    agent_lease_s: float = 0.0
    """How long an agent keeps a trial without a sign of life; 0: the server's default, 60."""
    agent_gpus: str = ""
    """Devices that an agent may give to trials, separated by commas; default: CUDA_VISIBLE_DEVICES, else all."""
    silent: bool = False
    """Print nothing but errors."""
    strict: bool = False
    """Raise on bad input of `log()` instead of warning once."""
    _given: frozenset[str] = field(default=frozenset(), repr=False, compare=False)
    """Names of the settings that were given; they take precedence over variables."""

    def __init__(self, **values: Any) -> None:
        known = {field.name: field for field in setting_fields()}
        unknown = []
        for name, value in values.items():
            if name == "_given":
                continue
            if name in _WANDB_NAMES:
                ours, setting = _WANDB_NAMES[name]
                if value:
                    object.__setattr__(self, ours, setting)
            elif name not in known:
                unknown.append(name)
        given = set(values.pop("_given", ()))
        for name, spec in known.items():
            if name in values or not _is_set(self, name):
                object.__setattr__(self, name, _fitting(name, values.get(name, spec.default), spec.default))
        given |= {name for name in known if getattr(self, name) != known[name].default or name in values}
        object.__setattr__(self, "_given", frozenset(given))
        if unknown:
            warn_once(f"Settings: {', '.join(unknown)}: not settings of runstream, ignored")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **arguments: object) -> Settings:
        """Return the settings of the arguments, the environment and the defaults, in this order of precedence.

        Raises SettingsError; its message names the argument or variable whose value cannot be used.
        """
        environment = os.environ if environment is None else environment
        values: dict[str, object] = {}
        wandb_too = environment.get("RUNSTREAM_WANDB_VARIABLES", "").lower() in _TRUE[:3]
        for spec in setting_fields():
            variable = f"RUNSTREAM_{spec.name.upper()}"
            if variable not in environment and wandb_too and spec.name in _WANDB_VARIABLES:
                variable = f"WANDB_{spec.name.upper()}"
            if variable in environment:
                values[spec.name] = _parse(variable, environment[variable], spec.default)
        values.update({name: value for name, value in arguments.items() if value is not None})
        settings = cls(**values)
        settings._check()
        return settings

    def but(self, **changes: object) -> Settings:
        """Return these settings with some changed."""
        return Settings(**{spec.name: getattr(self, spec.name) for spec in setting_fields()} | changes)

    def given(self) -> dict[str, object]:
        """Return the settings that were given by name, without the defaults."""
        return {name: getattr(self, name) for name in self._given}

    def _check(self) -> None:
        for name, allowed in (
            ("mode", MODES),
            ("resume", RESUMES),
            ("sender", SENDERS),
            ("console", CONSOLES),
            ("when_full", POLICIES),
            ("spool_io", SPOOL_IOS),
        ):
            value = getattr(self, name)
            if value not in allowed:
                raise SettingsError(f"{name} is {value!r}: use one of {', '.join(allowed)}")
        if self.mode == "offline" and self.when_full == "block":
            raise SettingsError("when_full is 'block' in a run that is offline: nothing would ever make room")
        if self.spool_limit_mb < 32:
            raise SettingsError(f"spool_limit_mb is {self.spool_limit_mb}: at least 32")
        if not 8 <= self.spool_segment_kb <= 1 << 20:
            raise SettingsError(f"spool_segment_kb is {self.spool_segment_kb}: 8 to {1 << 20}")
        if self.agent_lease_s and not 5 <= self.agent_lease_s <= 3600:
            raise SettingsError(f"agent_lease_s is {self.agent_lease_s!r}: 5 to 3600 seconds, or 0")
        for name in (
            "agent_kill_delay",
            "finish_timeout_s",
            "sigterm_timeout_s",
            "resume_timeout_s",
            "system_interval_s",
        ):
            if not 0 <= getattr(self, name) <= 86_400 or (name == "system_interval_s" and self.system_interval_s < 0.1):
                raise SettingsError(f"{name} is {getattr(self, name)!r}: give seconds")
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(f"base_url is {self.base_url!r}: give it as http://host:port or https://host")
        for name, address in (("gateway", self.gateway), ("query_grpc", self.query_grpc)):
            host, _, port = address.rpartition(":")
            if address and not (host and port.isdigit() and int(port) < 65536):
                raise SettingsError(f"{name} is {address!r}: give it as host:port")

    @property
    def tls(self) -> bool:
        return urlsplit(self.base_url).scheme == "https"

    @property
    def gateway_address(self) -> str:
        return self.gateway or f"{urlsplit(self.base_url).hostname}:{DEFAULT_GATEWAY_PORT}"

    @property
    def query_address(self) -> str:
        return self.query_grpc or f"{urlsplit(self.base_url).hostname}:{DEFAULT_QUERY_PORT}"

    @property
    def root(self) -> Path:
        """The spool's folder. Where no home folder is known, it is a temporary one, and a warning says so once."""
        place = self.dir or f"{os.environ.get('XDG_STATE_HOME') or '~/.local/state'}/runstream"
        try:
            return Path(place).expanduser().absolute()
        except (
            RuntimeError,
            OSError,
        ) as error:  # a uid without a passwd entry and no HOME; a current folder that is gone
            fallback = temporary_root()
            warn_once(f"the folder {place} cannot be found ({error}): recording in {fallback}; set RUNSTREAM_DIR")
            return fallback


def temporary_root() -> Path:
    """Return the folder of the spool when its own folder cannot be used."""
    return Path(tempfile.gettempdir()) / f"runstream-{os.geteuid()}"


def setting_fields() -> list[Field[object]]:
    """Return the dataclass fields that are settings."""
    return [spec for spec in fields(Settings) if not spec.name.startswith("_")]


def _is_set(settings: Settings, name: str) -> bool:
    try:
        object.__getattribute__(settings, name)
    except AttributeError:
        return False
    return True


def _fitting(name: str, value: object, default: object) -> object:
    """Return `value` in the form that the field has. Raises SettingsError."""
    if name == "mode" and value == "shared":
        return "online"
    if name == "mode" and value == "dryrun":
        return "offline"
    if name == "console" and isinstance(value, str):
        return _CONSOLE_NAMES.get(value, value)
    if name == "resume" and isinstance(value, bool):
        return "allow"
    if value is None:
        return default
    if isinstance(default, tuple):
        return (value,) if isinstance(value, str) else tuple(str(item) for item in value)  # type: ignore[attr-defined]
    if isinstance(default, str):
        return str(value)
    if isinstance(default, bool):
        return bool(value)
    if isinstance(default, (int, float)) and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise SettingsError(f"{name} is {value!r}: give a number")
    return value


def _parse(variable: str, text: str, default: object) -> object:
    """Return `text` as a value of `default`'s type. Raises SettingsError."""
    try:
        if isinstance(default, bool):
            if text.lower() not in _TRUE + _FALSE:
                raise ValueError("use true or false")
            return text.lower() in _TRUE
        if isinstance(default, int):
            return int(text)
        if isinstance(default, float):
            return float(text)
        if isinstance(default, tuple):
            return tuple(part.strip() for part in text.split(",") if part.strip())
    except ValueError as error:
        raise SettingsError(f"{variable} is {text!r}: {error}") from error
    return text
