"""Rank, world size and the common run id, as launchers tell them."""

from __future__ import annotations

import pytest

from runstream.errors import UsageError
from runstream.ranks import Job, detect, shared_run_id

TORCHRUN = {
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "GROUP_RANK": "1",
    "TORCHELASTIC_RUN_ID": "job-77",
    "TORCHELASTIC_RESTART_COUNT": "2",
}
SLURM = {
    "SLURM_JOB_ID": "991",
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "3",
    "SLURM_STEP_NUM_TASKS": "16",
    "SLURM_LOCALID": "3",
    "SLURM_NODEID": "0",
}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "2",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_LOCAL_RANK": "0",
    "OMPI_COMM_WORLD_NODE_RANK": "0",
    "PMIX_NAMESPACE": "prterun-host-123@1",
}


def test_no_launcher_is_a_world_of_one() -> None:
    assert detect({}) == Job()


def test_torchrun() -> None:
    job = detect(TORCHRUN)
    assert (job.rank, job.world_size, job.local_rank, job.node_rank, job.restart_count) == (5, 8, 1, 1, 2)


def test_slurm() -> None:
    job = detect(SLURM)
    assert (job.rank, job.world_size, job.local_rank, job.launcher) == (3, 16, 3, "slurm")


def test_a_slurm_batch_script_is_no_job_of_many() -> None:
    assert detect({"SLURM_JOB_ID": "991", "SLURM_PROCID": "0", "SLURM_NTASKS": "16"}) == Job()


def test_open_mpi() -> None:
    job = detect(OPEN_MPI)
    assert (job.rank, job.world_size, job.launcher) == (2, 4, "openmpi")


def test_arguments_go_first() -> None:
    assert detect(TORCHRUN, rank=0, world_size=2).rank == 0


@pytest.mark.parametrize("environment", [TORCHRUN, SLURM, OPEN_MPI])
def test_all_ranks_compute_one_run_id_and_other_jobs_another(environment: dict[str, str]) -> None:
    rank_name = next(name for name in environment if name in ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK"))
    here, there = detect({**environment, rank_name: "0"}), detect({**environment, rank_name: "1"})
    assert shared_run_id(here, 0) == shared_run_id(there, 0)
    assert shared_run_id(here, 0) != shared_run_id(here, 1)
    other = {**environment, "TORCHELASTIC_RUN_ID": "x", "SLURM_JOB_ID": "992", "PMIX_NAMESPACE": "y"}
    assert shared_run_id(detect(other), 0) != shared_run_id(here, 0)


def test_an_elastic_restart_keeps_the_run() -> None:
    again = detect({**TORCHRUN, "TORCHELASTIC_RESTART_COUNT": "3", "MASTER_PORT": "1234"})
    assert shared_run_id(again, 0) == shared_run_id(detect(TORCHRUN), 0)


def test_one_node_of_torchrun_without_an_id_shares_its_launcher() -> None:
    environment = {**TORCHRUN, "TORCHELASTIC_RUN_ID": "none", "LOCAL_WORLD_SIZE": "8"}
    assert shared_run_id(detect(environment), 0) == shared_run_id(detect({**environment, "RANK": "0"}), 0)


def test_a_job_without_a_name_says_what_to_set() -> None:
    with pytest.raises(UsageError, match="RUNSTREAM_RUN_ID"):
        shared_run_id(detect({**TORCHRUN, "TORCHELASTIC_RUN_ID": "none"}), 0)


@pytest.mark.parametrize(("rank", "world_size"), [(2, 2), (-1, 2), (0, 0)])
def test_a_rank_outside_its_world_is_refused(rank: int, world_size: int) -> None:
    with pytest.raises(UsageError, match="rank"):
        detect({}, rank=rank, world_size=world_size)


def test_a_launcher_variable_that_is_no_number_is_named() -> None:
    with pytest.raises(UsageError, match="WORLD_SIZE"):
        detect({**TORCHRUN, "WORLD_SIZE": "many"})
