"""What can be set: arguments of `init()` first, then `RUNSTREAM_*` variables, then defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runstream.errors import SettingsError

DEFAULT_BASE_URL = "http://127.0.0.1:7461"
DEFAULT_GATEWAY_PORT = 7460
DEFAULT_QUERY_PORT = 7462
MODES = ("online", "offline", "disabled")
RESUMES = ("allow", "never", "must", "auto")
SENDERS = ("process", "none")
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of the SDK. Each field is also the variable `RUNSTREAM_<FIELD>`, in upper case."""

    api_key: str = ""
    base_url: str = DEFAULT_BASE_URL
    """Where people and programs ask: the query service."""
    gateway: str = ""
    """Where points are sent, `host:port`; default: `base_url`'s host, port 7460. TLS where `base_url` is https."""
    query_grpc: str = ""
    """Where `Api` asks, `host:port`; default: `base_url`'s host, port 7462."""
    entity: str = ""
    """The team; default: the API key's."""
    project: str = "uncategorized"
    run_id: str = ""
    name: str = ""
    notes: str = ""
    tags: tuple[str, ...] = ()
    """In the variable: separated by commas."""
    run_group: str = ""
    job_type: str = ""
    mode: str = "online"
    """online | offline (spool only, send later by `runstream sync`) | disabled (every call does nothing)"""
    resume: str = "allow"
    """allow | never | must | auto (as allow)"""
    dir: str = ""
    """The spool's folder; default: `$XDG_STATE_HOME/runstream`, else `~/.local/state/runstream`."""
    rank: int = -1
    """-1: found from the launcher."""
    world_size: int = -1
    finish_timeout_s: float = 60.0
    """How long `finish()` waits for the server at most; what is left stays in the spool."""
    sender: str = "process"
    """process: start the node's sender when there is none | none: somebody else does"""
    sender_patience_s: float = 600.0
    """How long the sender goes on trying after its last trainer has ended."""
    sweep_id: str = ""
    silent: bool = False
    """Print nothing but errors."""
    strict: bool = False
    """Raise on bad input of `log()` instead of warning once."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **arguments: Any) -> Settings:
        """Raises SettingsError naming the argument or variable whose value cannot be used."""
        environment = os.environ if environment is None else environment
        values: dict[str, Any] = {}
        for field in fields(cls):
            variable = f"RUNSTREAM_{field.name.upper()}"
            if variable in environment:
                values[field.name] = _parse(variable, environment[variable], getattr(cls(), field.name))
        values.update({name: value for name, value in arguments.items() if value is not None})
        settings = replace(cls(), **values)
        settings._check()
        return settings

    def _check(self) -> None:
        for name, allowed in (("mode", MODES), ("resume", RESUMES), ("sender", SENDERS)):
            value = getattr(self, name)
            if value not in allowed:
                raise SettingsError(f"{name} is {value!r}: use one of {', '.join(allowed)}")
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
        """The spool's folder."""
        if self.dir:
            return Path(self.dir).expanduser().absolute()
        state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
        return Path(state).expanduser().absolute() / "runstream"


def _parse(variable: str, text: str, default: object) -> object:
    """`text` as a value of `default`'s type."""
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
