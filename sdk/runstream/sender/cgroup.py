"""Limits of this process's container: from version 2 of Linux control groups, else from version 1, else none."""

from __future__ import annotations

from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_NO_LIMIT = 1 << 60


def memory_limit_bytes(root: Path = _ROOT) -> int | None:
    """Return the limit of memory, or None where there is no limit."""
    for folder, name in _places(root, "memory.max", "memory", "memory.limit_in_bytes"):
        text = _read(folder / name)
        if text and text != "max" and int(text) < _NO_LIMIT:
            return int(text)
    return None


def memory_used_bytes(root: Path = _ROOT) -> int | None:
    """Return the memory that counts against the limit, without page cache that can be dropped.

    Returns None where there is no control group.
    """
    for folder, name in _places(root, "memory.current", "memory", "memory.usage_in_bytes"):
        text = _read(folder / name)
        if text:
            cache = _field(_read(folder / "memory.stat"), "inactive_file") or _field(
                _read(folder / "memory.stat"), "total_inactive_file"
            )
            return max(int(text) - (cache or 0), 0)
    return None


def cpu_limit(root: Path = _ROOT) -> float | None:
    """Return the number of processors that may be used at once, or None where there is no limit."""
    for folder, name in _places(root, "cpu.max", "cpu", "cpu.cfs_quota_us"):
        text = _read(folder / name)
        if not text:
            continue
        quota, _, period = text.partition(" ")
        period = period or _read(folder / "cpu.cfs_period_us") or "100000"
        if quota not in ("max", "-1"):
            return int(quota) / int(period)
    return None


def _places(root: Path, modern: str, controller: str, old: str) -> list[tuple[Path, str]]:
    own, own_old = "", ""
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            own = path.lstrip("/")
        elif controller in controllers.split(","):
            own_old = path.lstrip("/")
    return [
        (root / own, modern),
        (root, modern),
        (root / controller / own_old, old),
        (root / controller, old),
    ]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _field(text: str, name: str) -> int | None:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return None
