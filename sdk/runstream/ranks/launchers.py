"""A process's place in its job, and the job's identity, read from the variables that launchers set.

The source of a rank and a world size does not identify the job: `RANK` may be set by torchrun, by a script itself or by
Kubernetes. So the place and the job's identity are read apart.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runstream.errors import UsageError

Variables = Mapping[str, str]
_UUID = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.IGNORECASE)
_LOOPBACK = ("localhost", "127.", "::1", "0.0.0.0")  # noqa: S104  # recognized, not listened on
_HYDRA = ("hydra_pmi_proxy", "hydra_bstrap_pr")
"""Names, as the kernel cuts them, of the process of MPICH and Intel MPI that starts a node's ranks of one job."""


@dataclass(frozen=True, slots=True)
class JobPlace:
    """The place of a process in its job."""

    rank: int
    world_size: int
    local_rank: int = 0
    node_rank: int = 0
    restart_count: int = 0
    launcher: str = "variables"


@dataclass(frozen=True, slots=True)
class Identity:
    """A text that all ranks of a job have in common."""

    text: str = ""
    """The common text; it is empty where the ranks have nothing in common."""
    reusable: bool = False
    """True where another job may have it at another time: a name that people choose, an address and port."""
    trusted: bool = False
    """True for a reusable one that belongs to one job by its contract: it is used where nobody can be asked."""
    of_command: bool = False
    """True where the launcher starts a rank once, as a command. Each process that this command starts inherits it."""


def find_place(variables: Variables) -> JobPlace | None:
    """Return the place of this process, or None where no launcher tells of more than this process.

    Raises UsageError for a variable that is no number.
    """
    for read in (
        _torch_place,
        _slurm_place,
        _open_mpi_place,
        _hydra_place,
        _horovod_place,
        _lws_place,
        _lightning_place,
    ):
        if (place := read(variables)) is not None:
            return place
    return None


def find_identity(variables: Variables, place: JobPlace) -> Identity:
    """Return the identity of this process's job; identities that are certain come first."""
    for read in (_torchrun_identity, _slurm_identity, _open_mpi_identity, _hydra_identity):
        if (identity := read(variables, place)) is not None:
            return identity
    return _meeting_point(variables)


def number(variables: Variables, name: str, default: int | None = None) -> int:
    """Return a variable as a number. Raises UsageError, whose message has the variable's name."""
    text = variables.get(name, "")
    if not text and default is not None:
        return default
    try:
        return int(text)
    except ValueError:
        raise UsageError(
            f"{name} is {text!r}, which is no whole number: unset it or give rank= and world_size="
        ) from None


def _has(variables: Variables, *names: str) -> bool:
    return all(variables.get(name) for name in names)


# Places


def _torch_place(variables: Variables) -> JobPlace | None:
    """Read PyTorch's own names, which torchrun, accelerate, DeepSpeed, Ray Train, PyTorchJob and people set."""
    if not _has(variables, "RANK", "WORLD_SIZE"):
        return None
    return JobPlace(
        number(variables, "RANK"),
        number(variables, "WORLD_SIZE"),
        number(variables, "LOCAL_RANK", 0),
        number(variables, "GROUP_RANK", number(variables, "NODE_RANK", 0)),
        number(variables, "TORCHELASTIC_RESTART_COUNT", number(variables, "SLURM_RESTART_COUNT", 0)),
        "torchrun" if variables.get("TORCHELASTIC_RUN_ID") else "variables",
    )


def _slurm_place(variables: Variables) -> JobPlace | None:
    # SLURM_PROCID is also set in a batch script and an interactive shell, which are no step of several tasks.
    if not _has(variables, "SLURM_JOB_ID", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"):
        return None
    return JobPlace(
        number(variables, "SLURM_PROCID"),
        number(variables, "SLURM_STEP_NUM_TASKS"),
        number(variables, "SLURM_LOCALID", 0),
        number(variables, "SLURM_NODEID", 0),
        number(variables, "SLURM_RESTART_COUNT", 0),
        "slurm",
    )


def _open_mpi_place(variables: Variables) -> JobPlace | None:
    if not _has(variables, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"):
        return None
    return JobPlace(
        number(variables, "OMPI_COMM_WORLD_RANK"),
        number(variables, "OMPI_COMM_WORLD_SIZE"),
        number(variables, "OMPI_COMM_WORLD_LOCAL_RANK", 0),
        number(variables, "OMPI_COMM_WORLD_NODE_RANK", 0),
        launcher="openmpi",
    )


def _hydra_place(variables: Variables) -> JobPlace | None:
    """Read the variables of MPICH, Intel MPI and MVAPICH."""
    if not _has(variables, "PMI_RANK", "PMI_SIZE"):
        return None
    local = number(variables, "MPI_LOCALRANKID", 0)
    return JobPlace(number(variables, "PMI_RANK"), number(variables, "PMI_SIZE"), local, launcher="mpich")


def _horovod_place(variables: Variables) -> JobPlace | None:
    if not _has(variables, "HOROVOD_RANK", "HOROVOD_SIZE"):
        return None
    return JobPlace(
        number(variables, "HOROVOD_RANK"),
        number(variables, "HOROVOD_SIZE"),
        number(variables, "HOROVOD_LOCAL_RANK", 0),
        number(variables, "HOROVOD_CROSS_RANK", 0),
        launcher="horovod",
    )


def _lws_place(variables: Variables) -> JobPlace | None:
    """Read the variables of a group of Kubernetes' LeaderWorkerSet, which has one process a pod."""
    if not _has(variables, "LWS_LEADER_ADDRESS", "LWS_GROUP_SIZE", "LWS_WORKER_INDEX"):
        return None
    index = number(variables, "LWS_WORKER_INDEX")
    return JobPlace(index, number(variables, "LWS_GROUP_SIZE"), node_rank=index, launcher="leaderworkerset")


def _lightning_place(variables: Variables) -> JobPlace | None:
    """Read the variables of Lightning, on the first node.

    Lightning starts the other processes of a node itself and gives them no RANK. The rank on further nodes depends on
    the number of devices of a node, which no variable has.
    """
    if not _has(variables, "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR") or number(variables, "NODE_RANK", 0):
        return None
    local = number(variables, "LOCAL_RANK")
    return JobPlace(local, number(variables, "WORLD_SIZE"), local, launcher="lightning")


# Identities


def _torchrun_identity(variables: Variables, place: JobPlace) -> Identity | None:
    rendezvous = variables.get("TORCHELASTIC_RUN_ID", "")
    if not rendezvous:
        return None
    if number(variables, "LOCAL_WORLD_SIZE", place.world_size) == place.world_size:
        # On one node, the agent has one folder of a random name for its workers' errors, in all attempts.
        errors = variables.get("TORCHELASTIC_ERROR_FILE", "").split("/")
        if len(errors) > 4:
            return Identity(f"torchrun/{_boot()}/{'/'.join(errors[:-3])}")
    if _UUID.fullmatch(rendezvous):
        return Identity(f"torchrun/{rendezvous}")
    if job := variables.get("SLURM_JOB_ID"):
        step = variables.get("SLURM_STEP_ID", "")
        text = f"slurm/{variables.get('SLURM_CLUSTER_NAME', '')}/{job}/{step}/{rendezvous}"
        return Identity(text, reusable=True, trusted=True)
    if rendezvous != "none":
        return Identity(f"torchrun/{rendezvous}", reusable=True, trusted=True)
    return None


def _slurm_identity(variables: Variables, place: JobPlace) -> Identity | None:
    # A requeued job keeps its id, and so continues its run. Ranks that are no tasks of the step may belong to several
    # jobs, since a batch script may start several experiments.
    if not _has(variables, "SLURM_JOB_ID", "SLURM_STEP_NUM_TASKS"):
        return None
    if number(variables, "SLURM_STEP_NUM_TASKS") != place.world_size:
        return None
    parts = (variables["SLURM_JOB_ID"], variables.get("SLURM_STEP_ID", "0"))
    return Identity(f"slurm/{variables.get('SLURM_CLUSTER_NAME', '')}/{'/'.join(parts)}", of_command=True)


def _open_mpi_identity(variables: Variables, place: JobPlace) -> Identity | None:
    namespace = variables.get("PMIX_NAMESPACE") or variables.get("OMPI_MCA_ess_base_jobid", "")
    if not namespace or variables.get("OMPI_COMM_WORLD_SIZE") != str(place.world_size):
        return None
    # The namespace alone may be a host's name and a process number, which repeat in containers.
    if head := variables.get("OMPI_MCA_orte_hnp_uri", ""):  # version 4: mpirun's own address, the same on all nodes
        return Identity(f"openmpi/{namespace}/{head}", of_command=True)
    server = variables.get("PMIX_SERVER_URI41") or variables.get("PMIX_SERVER_URI2", "")
    if server and variables.get("OMPI_COMM_WORLD_LOCAL_SIZE") == str(place.world_size):
        return Identity(f"openmpi/{namespace}/{server}", of_command=True)  # each node has a server
    return Identity(f"openmpi/{namespace}", reusable=True, trusted=True)


def _hydra_identity(variables: Variables, place: JobPlace) -> Identity | None:
    size = str(place.world_size)
    if variables.get("PMI_SIZE") != size or variables.get("MPI_LOCALNRANKS") != size:
        return None
    proxy = _ancestor(_HYDRA)
    return Identity(f"hydra/{_boot()}/{proxy}", of_command=True) if proxy else None


def _meeting_point(variables: Variables) -> Identity:
    """Return the address where the ranks meet, which no two jobs use at the same time."""
    for kind, address, port in (
        ("master", variables.get("MASTER_ADDR", ""), variables.get("MASTER_PORT", "")),
        ("gloo", variables.get("HOROVOD_GLOO_RENDEZVOUS_ADDR", ""), variables.get("HOROVOD_GLOO_RENDEZVOUS_PORT", "")),
        ("leader", variables.get("LWS_LEADER_ADDRESS", ""), "-"),
    ):
        if address and port:
            here = f"{_boot()}/" if address.startswith(_LOOPBACK) else ""
            return Identity(f"{kind}/{here}{address}:{port}", reusable=True)
    return Identity()


def _boot() -> str:
    """Return an id of this machine since its start: paths, loopback addresses and process numbers are its own."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return os.uname().nodename


def _ancestor(names: tuple[str, ...]) -> str:
    """Return the number and the start time of the nearest process above this one that has one of these names."""
    process = os.getppid()
    while process > 1:
        try:
            name, _, rest = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")
            fields = rest.split()
        except OSError:
            break
        if name.partition("(")[2] in names:
            return f"{process}/{fields[19]}"
        process = int(fields[1])
    return ""
