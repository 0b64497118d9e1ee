"""Rank, world size and the job's identity, as launchers tell them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from runstream.errors import UsageError
from runstream.ranks import common_run_id as meeting
from runstream.ranks.common_run_id import SilentError, common_run_id
from runstream.ranks.job import Job, detect, run_id_of
from runstream.settings import Settings

ERRORS = "/tmp/torchelastic_8f3k/none_1x2y"
TORCHRUN_NODE = {
    "RANK": "1",
    "WORLD_SIZE": "2",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "GROUP_RANK": "0",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
    "TORCHELASTIC_RUN_ID": "none",
    "TORCHELASTIC_RESTART_COUNT": "0",
    "TORCHELASTIC_ERROR_FILE": f"{ERRORS}/attempt_0/1/error.json",
}
TORCHRUN_NODES = {
    **TORCHRUN_NODE,
    "RANK": "5",
    "WORLD_SIZE": "8",
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
OPEN_MPI_4 = {
    "OMPI_COMM_WORLD_RANK": "2",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_LOCAL_RANK": "0",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    "PMIX_NAMESPACE": "1933639681",
    "PMIX_SERVER_URI2": "1933639680.0;tcp4://127.0.0.1:45831",
    "OMPI_MCA_orte_hnp_uri": "1933639680.0;tcp://10.0.0.2:40119",
}
OPEN_MPI_5 = {
    "OMPI_COMM_WORLD_RANK": "2",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "4",
    "PMIX_NAMESPACE": "prterun-host-123@1",
    "PMIX_SERVER_URI41": "prterun-host-123@0.0;tcp4://127.0.0.1:41001",
}
MPICH = {"PMI_RANK": "1", "PMI_SIZE": "2", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"}
HOROVOD = {
    "HOROVOD_RANK": "1",
    "HOROVOD_SIZE": "2",
    "HOROVOD_LOCAL_RANK": "1",
    "HOROVOD_GLOO_RENDEZVOUS_ADDR": "10.0.0.1",
    "HOROVOD_GLOO_RENDEZVOUS_PORT": "41234",
}
PYTORCH_JOB = {"RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "job-master-0", "MASTER_PORT": "23456"}
LWS = {"LWS_LEADER_ADDRESS": "lws-0.lws.default", "LWS_GROUP_SIZE": "4", "LWS_WORKER_INDEX": "2"}
LIGHTNING = {"LOCAL_RANK": "1", "WORLD_SIZE": "2", "NODE_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "41111"}
HAND_MADE = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}
RANKS = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "HOROVOD_RANK", "LWS_WORKER_INDEX", "LOCAL_RANK")


def asked(settings: Settings, run: str) -> dict[str, Any] | None:
    raise SilentError("nobody is asked in this test")


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "_ask", asked)
    monkeypatch.setattr("runstream.ranks.launchers._ancestor", lambda names: "4242/17")  # MPICH's proxy


def server(monkeypatch: pytest.MonkeyPatch, runs: dict[str, dict[str, Any]]) -> None:
    monkeypatch.setattr(meeting, "_ask", lambda settings, run: runs.get(run))


def run_of(job: Job, nth: int = 0) -> str:
    """The id that is shared, of the first process of this rank's command; fails where none is."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(nth + 1):
            run, problem = common_run_id(Settings(project="p", dir=folder), job, number)
            assert not problem, problem
    return run


def test_no_launcher_is_a_world_of_one() -> None:
    assert detect({}) == Job()


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        (TORCHRUN_NODES, (5, 8, 1, 1, 2, "torchrun")),
        (SLURM, (3, 16, 3, 0, 0, "slurm")),
        (OPEN_MPI_4, (2, 4, 0, 0, 0, "openmpi")),
        (MPICH, (1, 2, 1, 0, 0, "mpich")),
        (HOROVOD, (1, 2, 1, 0, 0, "horovod")),
        (PYTORCH_JOB, (1, 4, 0, 0, 0, "variables")),
        (LWS, (2, 4, 0, 2, 0, "leaderworkerset")),
        (LIGHTNING, (1, 2, 1, 0, 0, "lightning")),
        (HAND_MADE, (1, 4, 1, 0, 0, "variables")),
    ],
)
def test_a_launcher_tells_the_place(environment: dict[str, str], place: tuple[object, ...]) -> None:
    job = detect(environment)
    assert (job.rank, job.world_size, job.local_rank, job.node_rank, job.restart_count, job.launcher) == place


def test_a_slurm_batch_script_is_no_job_of_many() -> None:
    assert detect({"SLURM_JOB_ID": "991", "SLURM_PROCID": "0", "SLURM_NTASKS": "16"}) == Job()


def test_arguments_go_first() -> None:
    assert detect(TORCHRUN_NODES, rank=0, world_size=2).rank == 0


@pytest.mark.parametrize(
    ("environment", "of_another_job"),
    [
        (TORCHRUN_NODE, {"TORCHELASTIC_ERROR_FILE": "/tmp/torchelastic_other/none_3z/attempt_0/1/error.json"}),
        (TORCHRUN_NODES, {"TORCHELASTIC_RUN_ID": "job-78"}),
        (SLURM, {"SLURM_JOB_ID": "992"}),
        (SLURM, {"SLURM_STEP_ID": "1"}),
        ({**SLURM, "RANK": "3", "WORLD_SIZE": "16"}, {"SLURM_JOB_ID": "992"}),
        (OPEN_MPI_4, {"OMPI_MCA_orte_hnp_uri": "1933639680.0;tcp://10.0.0.2:40333"}),
        (OPEN_MPI_5, {"PMIX_SERVER_URI41": "prterun-host-123@0.0;tcp4://127.0.0.1:41777"}),
    ],
)
def test_all_ranks_compute_one_run_id_and_other_jobs_another(
    environment: dict[str, str], of_another_job: dict[str, str]
) -> None:
    name = next(name for name in RANKS if name in environment)
    here, there = detect({**environment, name: "0"}), detect({**environment, name: "1"})
    assert (here.rank, there.rank) == (0, 1)
    assert run_of(here) == run_of(there)
    assert run_of(here) != run_of(here, 1)
    assert run_of(detect({**environment, **of_another_job})) != run_of(here)


def test_open_mpi_of_several_nodes_does_not_look_at_a_nodes_own_server() -> None:
    other_node = {**OPEN_MPI_4, "PMIX_SERVER_URI2": "1933639680.1;tcp4://127.0.0.1:33333"}
    assert run_of(detect(other_node)) == run_of(detect(OPEN_MPI_4))


def test_an_elastic_restart_keeps_the_run() -> None:
    again = detect({**TORCHRUN_NODES, "TORCHELASTIC_RESTART_COUNT": "3", "MASTER_PORT": "1234"})
    assert run_of(again) == run_of(detect(TORCHRUN_NODES))
    again = detect({**TORCHRUN_NODE, "TORCHELASTIC_ERROR_FILE": f"{ERRORS}/attempt_1/1/error.json"})
    assert run_of(again) == run_of(detect(TORCHRUN_NODE))


def test_two_torchruns_of_one_batch_script_are_two_runs() -> None:
    batch = {**TORCHRUN_NODE, "SLURM_JOB_ID": "991", "SLURM_PROCID": "0"}
    other = {**batch, "TORCHELASTIC_ERROR_FILE": "/tmp/torchelastic_other/none_3z/attempt_0/1/error.json"}
    assert run_of(detect(batch)) != run_of(detect(other))


def test_mpichs_ranks_have_their_proxy_in_common() -> None:
    assert run_of(detect({**MPICH, "PMI_RANK": "0"})) == run_of(detect(MPICH))
    assert not detect({**MPICH, "MPI_LOCALNRANKS": "1"}).identity.text, "on several nodes there are several proxies"


@pytest.mark.parametrize("environment", [SLURM, OPEN_MPI_4], ids=["srun", "mpirun"])
def test_trainings_one_after_the_other_in_a_ranks_command_are_runs_of_their_own(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """`srun bash -c "a; b"`: each process asks anew, as its first."""
    settings = Settings(project="p", dir=str(tmp_path / "new" / "state"))

    def asked(**changes: str) -> str:
        return common_run_id(settings, detect({**environment, **changes}), 0)[0]

    first, second = asked(), asked()
    assert first != second
    other = {"SLURM_PROCID": "1", "OMPI_COMM_WORLD_RANK": "1"}
    assert [asked(**other), asked(**other)] == [first, second]
    assert (tmp_path / "new" / "state").stat().st_mode & 0o077 == 0
    if "SLURM_JOB_ID" in environment:
        assert asked(SLURM_RESTART_COUNT="1") == first  # a requeue begins again


@pytest.mark.parametrize("environment", [PYTORCH_JOB, LWS, HOROVOD, LIGHTNING])
def test_a_meeting_point_is_shared_and_its_earlier_jobs_are_left_alone(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(name for name in RANKS if name in environment)
    first, second = detect({**environment, name: "0"}), detect({**environment, name: "1"})
    runs: dict[str, dict[str, Any]] = {}
    server(monkeypatch, runs)
    earlier = run_of(first)
    assert run_of(second) == earlier, "nobody has reported yet"
    runs[earlier] = {"state": "RUN_STATE_RUNNING", "last_steps": [{"rank": 0, "step": "7"}]}
    assert run_of(second) == earlier, "a rank that comes late joins"
    assert run_of(first) != earlier, "rank 0 was there already: this is another job"
    runs[earlier]["state"] = "RUN_STATE_CRASHED"
    assert run_of(first) == run_of(second) != earlier
    restarted = detect({**environment, name: "0", "SLURM_RESTART_COUNT": "1"}) if "RANK" in environment else None
    assert restarted is None or run_of(restarted) == earlier, "its launcher says that it goes on"


@pytest.mark.parametrize("environment", [PYTORCH_JOB, HAND_MADE, {**HAND_MADE, "SLURM_JOB_ID": "9"}])
def test_a_job_that_is_not_known_merges_with_nobody_and_says_what_to_set(environment: dict[str, str]) -> None:
    settings = Settings(project="p")
    (one, problem), (other, _) = (common_run_id(settings, detect(environment), 0) for _ in range(2))
    assert one != other
    assert "rank 1 of 4 is recorded as a run of its own" in problem and "set RUNSTREAM_RUN_ID" in problem


def test_a_name_that_is_unique_by_contract_is_taken_where_nobody_can_be_asked() -> None:
    assert run_of(detect(TORCHRUN_NODES)) == run_id_of("torchrun/job-77", 0)


@pytest.mark.parametrize(("rank", "world_size"), [(2, 2), (-1, 2), (0, 0)])
def test_a_rank_outside_its_world_is_refused(rank: int, world_size: int) -> None:
    with pytest.raises(UsageError, match="rank"):
        detect({}, rank=rank, world_size=world_size)


def test_a_launcher_variable_that_is_no_number_is_named() -> None:
    with pytest.raises(UsageError, match="WORLD_SIZE"):
        detect({**TORCHRUN_NODES, "WORLD_SIZE": "many"})
