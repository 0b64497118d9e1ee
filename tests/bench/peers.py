"""Other trackers, each in a virtual environment of its own, logging to the local disk only."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Peer:
    title: str
    package: str
    calls: int
    """At most so many timed calls: some take milliseconds each."""
    variables: dict[str, str] = field(default_factory=dict)


PEERS = {
    "trackio": Peer("Trackio", "trackio", 3000, {"TRACKIO_DIR": "{work}", "HF_HUB_OFFLINE": "1"}),
    "wandb": Peer(
        "W&B (offline)", "wandb", 5000, {"WANDB_MODE": "offline", "WANDB_DIR": "{work}", "WANDB_SILENT": "true"}
    ),
    "neptune-scale": Peer("Neptune Scale (offline)", "neptune-scale", 3000, {"NEPTUNE_MODE": "offline"}),
    "tensorboardX": Peer("tensorboardX", "tensorboardX", 2000),
    "aim": Peer("Aim", "aim", 500),
    "mlflow": Peer("MLflow (file)", "mlflow", 200, {"MLFLOW_ALLOW_FILE_STORE": "true"}),
}


def install(name: str, folder: Path, say: Callable[[str], None]) -> str:
    """Make the environment, once. Returns what went wrong; empty when nothing did."""
    home = folder / name
    python = home / "bin" / "python"
    if not python.exists():
        say(f"installing {name} into {home}")
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    if _has(python, PEERS[name].package):
        return ""
    command = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        PEERS[name].package,
        "numpy",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr.strip()[-300:] if done.returncode else ""


def version(name: str, folder: Path) -> str:
    code = f"import importlib.metadata as m; print(m.version({PEERS[name].package!r}))"
    done = subprocess.run(
        [str(folder / name / "bin" / "python"), "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def environment(name: str, work: Path) -> dict[str, str]:
    """Where it writes, and that it writes there only."""
    own = {variable: value.format(work=work) for variable, value in PEERS[name].variables.items()}
    return {"HOME": str(work), "TMPDIR": str(work), **own}


def _has(python: Path, package: str) -> bool:
    code = f"import importlib.metadata as m; m.version({package!r})"
    return subprocess.run([str(python), "-c", code], capture_output=True, check=False).returncode == 0
