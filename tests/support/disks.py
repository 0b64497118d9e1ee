"""Small disks, in memory, for tests that fill them."""

from __future__ import annotations

import subprocess
from pathlib import Path


def small_disk(folder: Path, megabytes: int) -> Path:
    """A disk of this size. Raises RuntimeError where it cannot be mounted: that needs root."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={megabytes}m,mode=0700"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"a small disk needs root and mount: {done.stderr.decode().strip()}")
    return folder


def unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)
