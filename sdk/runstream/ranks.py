"""Which process of a job this is, and which run the job's processes share.

Read from what the launcher sets: arguments and RUNSTREAM_* first, then torchrun, SLURM, Open MPI (also
through PMIx), so that every rank may simply call `runstream.init()`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runstream.errors import UsageError


@dataclass(frozen=True, slots=True)
class Job:
    """A process's place in its job."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    node_rank: int = 0
    restart_count: int = 0
    launcher: str = "none"
    shared_id: str = ""
    """The same text in all processes of the job, and in no other job; empty where the launcher gives none."""


def detect(environment: Mapping[str, str] | None = None, rank: int | None = None, world_size: int | None = None) -> Job:
    """The job that this process is part of.

    Raises UsageError when rank and world size contradict each other, or a launcher's variable is no number.
    """
    environment = os.environ if environment is None else environment
    job = _torchrun(environment) or _slurm(environment) or _open_mpi(environment) or Job()
    if rank is not None or world_size is not None:
        rank = job.rank if rank is None else rank
        world_size = job.world_size if world_size is None else world_size
        job = Job(rank, world_size, job.local_rank, job.node_rank, job.restart_count, job.launcher, job.shared_id)
    if not 0 <= job.rank < job.world_size or job.world_size > 1 << 24:
        raise UsageError(f"rank {job.rank} of a world of {job.world_size}: give 0 <= rank < world_size")
    return job


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environment.get(name, "")
    if not text and default is not None:
        return default
    try:
        return int(text)
    except ValueError:
        raise UsageError(
            f"{name} is {text!r}, which is no whole number: unset it or give rank= and world_size="
        ) from None


def _torchrun(environment: Mapping[str, str]) -> Job | None:
    if not all(environment.get(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")):
        return None
    rank, world_size = _number(environment, "RANK"), _number(environment, "WORLD_SIZE")
    local_world = _number(environment, "LOCAL_WORLD_SIZE", world_size)
    rendezvous = environment.get("TORCHELASTIC_RUN_ID", "")
    if environment.get("SLURM_JOB_ID"):
        shared = _slurm_id(environment)
    elif rendezvous not in ("", "none"):
        shared = f"torchrun/{rendezvous}"
    elif local_world == world_size:
        shared = f"parent/{_parent_identity()}"  # one node: all ranks are children of one launcher
    else:
        shared = ""
    return Job(
        rank,
        world_size,
        _number(environment, "LOCAL_RANK"),
        _number(environment, "GROUP_RANK", 0),
        _number(environment, "TORCHELASTIC_RESTART_COUNT", 0),
        "torchrun",
        shared,
    )


def _slurm_id(environment: Mapping[str, str]) -> str:
    # A requeued job keeps its id, and so continues its run.
    parts = (environment["SLURM_JOB_ID"], environment.get("SLURM_STEP_ID", "0"))
    return f"slurm/{environment.get('SLURM_CLUSTER_NAME', '')}/{'/'.join(parts)}"


def _slurm(environment: Mapping[str, str]) -> Job | None:
    # SLURM_PROCID is also set in a batch script and an interactive shell, where there is no step of many.
    if not all(environment.get(name) for name in ("SLURM_JOB_ID", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS")):
        return None
    return Job(
        _number(environment, "SLURM_PROCID"),
        _number(environment, "SLURM_STEP_NUM_TASKS"),
        _number(environment, "SLURM_LOCALID", 0),
        _number(environment, "SLURM_NODEID", 0),
        _number(environment, "SLURM_RESTART_COUNT", 0),
        "slurm",
        _slurm_id(environment),
    )


def _open_mpi(environment: Mapping[str, str]) -> Job | None:
    if not all(environment.get(name) for name in ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")):
        return None
    namespace = environment.get("PMIX_NAMESPACE") or environment.get("OMPI_MCA_ess_base_jobid", "")
    return Job(
        _number(environment, "OMPI_COMM_WORLD_RANK"),
        _number(environment, "OMPI_COMM_WORLD_SIZE"),
        _number(environment, "OMPI_COMM_WORLD_LOCAL_RANK", 0),
        _number(environment, "OMPI_COMM_WORLD_NODE_RANK", 0),
        0,
        "openmpi",
        f"openmpi/{namespace}/{environment.get('PMIX_SERVER_URI2', environment.get('OMPI_MCA_orte_hnp_uri', ''))}"
        if namespace
        else "",
    )


def _parent_identity() -> str:
    """The parent process, told apart from a later one with the same pid."""
    parent = os.getppid()
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        started = Path(f"/proc/{parent}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return f"{parent}"
    return f"{boot}/{parent}/{started}"


def shared_run_id(job: Job, nth: int) -> str:
    """The run id that all ranks of `job` compute alike, for the `nth` run (from 0) of their processes.

    Raises UsageError when nothing tells this job from another.
    """
    if not job.shared_id:
        raise UsageError(
            f"{job.world_size} ranks, and the launcher gives them nothing in common that names the job: "
            "set RUNSTREAM_RUN_ID to the same value on every rank (with torchrun: or pass --rdzv-id)"
        )
    import hashlib  # 3 MB of OpenSSL, which a job of one rank need not have

    digest = hashlib.sha256(f"{job.shared_id}/{nth}".encode()).digest()
    return encode_id(int.from_bytes(digest[:8], "big"))


ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def encode_id(number: int, length: int = 10) -> str:
    """`number` in base 36, its lowest `length` digits."""
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 36)
        digits.append(ALPHABET[digit])
    return "".join(digits)
