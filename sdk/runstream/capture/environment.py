"""The environment of a run: command, Python, git, hardware. Secrets are masked (`masking.py`)."""

from __future__ import annotations

import fnmatch
import itertools
import os
import platform
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from runstream.capture.masking import MASK, is_secret_name, mask, mask_code, mask_command, mask_line

_SECRET_VARIABLE = re.compile(r"(key|token|secret|passw|credential|auth|cookie|session|private|dsn|jwt)", re.IGNORECASE)
_ALLOWED = (
    *("CUDA_*", "NVIDIA_*", "NCCL_*", "CUBLAS_*", "CUDNN_*", "ROCR_*", "HIP_*", "HSA_*", "RCCL_*", "GPU_*", "UCX_*"),
    *("TORCH*", "PYTORCH_*", "TF_*", "XLA_*", "JAX_*", "KERAS_*", "TRITON_*", "ACCELERATE_*", "DEEPSPEED_*", "FSDP_*"),
    *("HF_HOME", "HF_HUB_*", "HF_DATASETS_*", "HF_ENDPOINT", "TRANSFORMERS_*", "TOKENIZERS_*", "DIFFUSERS_*", "VLLM_*"),
    *("OMP_*", "MKL_*", "OPENBLAS_*", "NUMEXPR_*", "KMP_*", "GOMP_*", "BLIS_*", "MALLOC_*", "GLIBC_TUNABLES"),
    *("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT"),
    *("SLURM_*", "SLURMD_*", "OMPI_*", "PMI_*", "PMIX_*", "PALS_*", "MPICH_*", "MV2_*", "HOROVOD_*", "GLOO_*", "RAY_*"),
    *("PBS_*", "LSB_*", "FLUX_*", "JOB_COMPLETION_INDEX", "JOBSET_*", "LWS_*", "KUBERNETES_SERVICE_HOST", "NODE_NAME"),
    *("POD_*", "TPU_*", "NEURON_*", "FI_*", "IB_*", "PSM*", "LIBTPU_*"),
    *("PATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "LIBRARY_PATH", "HOME", "PWD", "SHELL", "USER", "LOGNAME", "HOSTNAME"),
    *("LANG", "LC_*", "TZ", "TERM", "TMPDIR", "DISPLAY", "CONTAINER", "SINGULARITY_NAME", "APPTAINER_NAME"),
    *("PYTHON*", "VIRTUAL_ENV", "CONDA_*", "PIXI_*", "PIP_REQUIRE_VIRTUALENV", "UV_*PYTHON*", "JUPYTER_*", "COLAB_*"),
    *("AWS_REGION", "AWS_DEFAULT_REGION", "SM_*", "GOOGLE_CLOUD_*", "AZUREML_*", "RUNSTREAM_*", "WANDB_*"),
)
"""Variables that are kept: those that devices, libraries, launchers and interpreters read."""
_GIT_TIMEOUT_S = 1.0
_MAX_DIFF_BYTES = 256 << 10
_MAX_VARIABLES = 200
_MAX_PACKAGES = 2000
_MAX_VALUE = 1024


def capture(variables: Iterable[str] = (), diff: bool = True) -> dict[str, object]:
    """Return the fields of the `Environment` message, without facts that cannot be read.

    It takes tens of milliseconds at most. `variables`: patterns of more variable names to keep; `diff`: include the
    uncommitted changes.
    """
    found: dict[str, object] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "command": mask_command(sys.argv),
        "working_directory": working_directory(),
        "cpu_count": os.cpu_count() or 0,
        "memory_bytes": _memory_bytes(),
        "variables": kept_variables(os.environ, variables),
        "packages": _packages(),
        "gpus": _gpus(),
    }
    found.update(_git(diff))
    return found


def kept_variables(variables: Mapping[str, str], more: Iterable[str] = ()) -> dict[str, str]:
    """Return the environment variables that describe the setup of a training, and those that match a pattern of `more`.

    Any other variable may be a secret. Secrets are masked in these, too; values are capped.
    """
    allowed = re.compile("|".join(fnmatch.translate(pattern) for pattern in (*_ALLOWED, *more)))
    return {
        name: MASK if _SECRET_VARIABLE.search(name) or is_secret_name(name) else mask_line(value[:_MAX_VALUE])
        for name, value in itertools.islice(
            ((name, value) for name, value in sorted(variables.items()) if allowed.match(name)), _MAX_VARIABLES
        )
    }


def working_directory() -> str:
    """Return the current folder, or an empty text where it no longer exists."""
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
    """Return installed distributions and their versions, read from the names of their folders.

    To read each one's metadata would take a hundred times as long.
    """
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
    """Return the model names of NVIDIA GPUs from the driver's own files.

    No library is loaded into the training process.
    """
    models = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        models += [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("Model:")]
    return models


def _git(with_diff: bool) -> dict[str, object]:
    """Run all git commands at once, as three short processes side by side."""
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
        "git_diff": mask_code(diff) if with_diff else "",
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
    """Return the first _MAX_DIFF_BYTES that the process prints by the deadline; return an empty text when it fails."""
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
        failed = process.wait(max(deadline - time.monotonic(), 0.05)) > 0  # below 0: its pipe was closed early
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        failed = True
    return "" if failed else found[:_MAX_DIFF_BYTES].decode("utf-8", "replace").strip()
