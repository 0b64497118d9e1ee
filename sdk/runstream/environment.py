"""What a run was started in: command, Python, git, hardware. Secrets are masked by the name they go by."""

from __future__ import annotations

import os
import platform
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_SECRET_NAME = re.compile(r"(key|token|secret|passw|credential|auth|cookie|session|private|dsn)", re.IGNORECASE)
_SECRET_VALUE = re.compile(
    r"(rs_[0-9a-f]{6,}_[\w-]{20,}|sk-[\w-]{16,}|gh[pousr]_\w{20,}|AKIA[0-9A-Z]{16}|hf_\w{20,}"
    r"|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*|://[^/\s:@]+:[^/\s@]+@)"
)
_SECRET_ASSIGNED = re.compile(
    r"(\b[\w-]*(?:token|secret|passw(?:or)?d|api_?key|credential|private_?key)[\w-]*[\"']?\s*[=:]\s*[\"']?)[^\s\"',;]{4,}",
    re.IGNORECASE,
)
MASK = "***"
_GIT_TIMEOUT_S = 1.0
_MAX_DIFF_BYTES = 256 << 10
_MAX_VARIABLES = 200
_MAX_PACKAGES = 2000
_MAX_VALUE = 1024


def capture() -> dict[str, Any]:
    """The `Environment` message's fields. Takes tens of milliseconds at most; what fails is left out."""
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "command": _masked_command(sys.argv),
        "working_directory": working_directory(),
        "cpu_count": os.cpu_count() or 0,
        "memory_bytes": _memory_bytes(),
        "variables": masked_variables(dict(os.environ)),
        "packages": _packages(),
        "gpus": _gpus(),
    }
    found.update(_git())
    return found


def mask(text: str) -> str:
    """`text` with what looks like a secret replaced."""
    return _SECRET_VALUE.sub(MASK, text)


def mask_line(text: str) -> str:
    """A line of output with secrets masked as in the environment: by pattern, and by the name they are given."""
    return _SECRET_ASSIGNED.sub(rf"\g<1>{MASK}", mask(text))


def masked_variables(variables: dict[str, str]) -> dict[str, str]:
    """Environment variables with secrets masked by name and by pattern, values capped."""
    return {
        name: MASK if _SECRET_NAME.search(name) else mask(value[:_MAX_VALUE])
        for name, value in sorted(variables.items())[:_MAX_VARIABLES]
    }


def _masked_command(arguments: list[str]) -> list[str]:
    masked: list[str] = []
    secret_follows = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if secret_follows:
            masked.append(MASK)
        elif argument.startswith("-") and equals and _SECRET_NAME.search(name):
            masked.append(f"{name}={MASK}")
        else:
            masked.append(mask(argument))
        secret_follows = argument.startswith("-") and not equals and bool(_SECRET_NAME.search(name))
    return masked


def working_directory() -> str:
    """The current folder; empty where it is gone."""
    try:
        return str(Path.cwd())
    except OSError:
        return ""


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0


def _packages() -> dict[str, str]:
    """Installed distributions and their versions, told from the names of their folders: reading each one's metadata
    would take a hundred times as long."""
    found: dict[str, str] = {}
    for place in sys.path:
        try:
            names = [
                entry.name for entry in os.scandir(place or ".") if entry.name.endswith((".dist-info", ".egg-info"))
            ]
        except OSError:
            continue
        for name in names:
            package, _, version = name.rsplit(".", 1)[0].partition("-")
            if version:
                found.setdefault(package.lower().replace("_", "-"), version.partition("-")[0])
    return dict(sorted(found.items())[:_MAX_PACKAGES])


def _gpus() -> list[str]:
    """Model names of NVIDIA GPUs, as the driver's own files say: no library is loaded into the training process."""
    models = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        models += [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("Model:")]
    return models


def _git() -> dict[str, Any]:
    """All questions to git at once: three short processes side by side."""
    deadline = time.monotonic() + _GIT_TIMEOUT_S
    asked = [
        _ask_git("rev-parse", "HEAD"),
        _ask_git("diff", "HEAD", "--no-color", "--no-ext-diff"),
        _ask_git("config", "--get", "remote.origin.url"),
    ]
    commit, diff, remote = [_answer(process, deadline) for process in asked]
    if not commit:
        return {}
    return {
        "git_commit": commit,
        "git_remote": mask(remote),
        "git_diff": mask(diff),
        "git_dirty": bool(diff),
    }


def _ask_git(*arguments: str) -> subprocess.Popen[bytes] | None:
    try:
        return subprocess.Popen(
            ["git", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"},
        )
    except OSError:
        return None


def _answer(process: subprocess.Popen[bytes] | None, deadline: float) -> str:
    """The first _MAX_DIFF_BYTES that it prints by the deadline; empty when it fails or says nothing."""
    if process is None or process.stdout is None:
        return ""
    found = bytearray()
    fd = process.stdout.fileno()
    while len(found) < _MAX_DIFF_BYTES:
        if not select.select([fd], [], [], max(deadline - time.monotonic(), 0))[0]:
            break
        data = os.read(fd, 1 << 16)
        if not data:
            break
        found += data
    process.stdout.close()
    try:
        failed = process.wait(max(deadline - time.monotonic(), 0.05)) > 0  # below 0: it could not print the rest
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        failed = True
    return "" if failed else found[:_MAX_DIFF_BYTES].decode("utf-8", "replace").strip()
