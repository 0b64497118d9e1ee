"""Read the configuration from the environment: once, into frozen dataclasses; errors name the variable."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from runstream_common.errors import ReportedError

_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_SIZE = re.compile(r"(\d+)\s*(B|KB|KiB|MB|MiB|GB|GiB)?", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "kb": 1000, "kib": 1 << 10, "mb": 10**6, "mib": 1 << 20, "gb": 10**9, "gib": 1 << 30}


class ConfigError(ReportedError):
    """A setting cannot be used. The message names the variable and what is accepted."""


class Env:
    """Read variables, one call each. Every method raises ConfigError that names the variable."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables

    def text(self, name: str, default: str, choices: tuple[str, ...] = ()) -> str:
        value = self._variables.get(name) or default
        if choices and value not in choices:
            raise ConfigError(f"{name} is {value!r}: use one of {', '.join(choices)}")
        return value

    def integer(self, name: str, default: int, minimum: int, maximum: int) -> int:
        return int(self._number(name, float(default), float(minimum), float(maximum), whole=True))

    def seconds(self, name: str, default: float, minimum: float = 0.0, maximum: float = 86_400.0) -> float:
        return self._number(name, default, minimum, maximum, whole=False)

    def size_bytes(self, name: str, default: int) -> int:
        """Return a number of bytes; the text may have a unit, such as 64MiB."""
        text = self._variables.get(name, "")
        if not text:
            return default
        match = _SIZE.fullmatch(text.strip())
        if match is None:
            raise ConfigError(f"{name} is {text!r}: give a size such as 64MiB")
        return int(match[1]) * _UNITS[(match[2] or "").lower()]

    def flag(self, name: str, default: bool) -> bool:
        text = self._variables.get(name, "").lower()
        if not text:
            return default
        if text not in _TRUE + _FALSE:
            raise ConfigError(f"{name} is {text!r}: use true or false")
        return text in _TRUE

    def address(self, name: str, default: str) -> str:
        """Return a checked `host:port`. Port 0 lets the system choose."""
        text = self._variables.get(name) or default
        host, _, port = text.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise ConfigError(f"{name} is {text!r}: give host:port")
        return text

    def path(self, name: str) -> Path | None:
        text = self._variables.get(name, "")
        return Path(text).expanduser() if text else None

    def secret(self, name: str) -> str | None:
        """Return the variable, or the content of the file that NAME_FILE names. No message contains it."""
        value = self._variables.get(name)
        if value:
            return value
        file = self._variables.get(f"{name}_FILE")
        if not file:
            return None
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(f"{name}_FILE names {file}, which cannot be read: {error.strerror}") from error

    def _number(self, name: str, default: float, minimum: float, maximum: float, *, whole: bool) -> float:
        text = self._variables.get(name, "")
        if not text:
            return default
        try:
            value = float(int(text)) if whole else float(text)
        except ValueError:
            value = float("nan")
        if not minimum <= value <= maximum:
            kind = "a whole number" if whole else "a number"
            raise ConfigError(f"{name} is {text!r}: give {kind} from {minimum:g} to {maximum:g}")
        return value


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of a checked `host:port`."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
