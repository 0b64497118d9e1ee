"""The broker's class path, resolved by Maven once a `pom.xml` and kept."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

POM = Path(__file__).with_name("pom.xml")
LOGGING = Path(__file__).with_name("log4j2.properties")
_ATTEMPTS = 3


class MissingPartError(Exception):
    """Java or Maven is not on this machine."""


def cache_folder() -> Path:
    folder = Path("~/.cache/runstream-tests").expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def class_path() -> str:
    """Raises MissingPartError; RuntimeError when Maven fails several times."""
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            raise MissingPartError(f"{tool} is not installed: a real Kafka needs it (see tests/setup.sh)")
    name = f"kafka-{hashlib.sha256(POM.read_bytes()).hexdigest()[:16]}"
    folder = cache_folder() / name
    with (cache_folder() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs at once resolve it once
        if not (folder / "complete").exists():
            _resolve(folder)
    return f"{folder / 'lib'}/*"


def _resolve(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={folder / 'lib'}"]
    for attempt in range(1, _ATTEMPTS + 1):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode == 0:
            (folder / "complete").touch()
            return
        if attempt == _ATTEMPTS:
            raise RuntimeError(f"Maven could not resolve Kafka:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
