"""Real launchers start ranks that call `init()`: those of one job share a run, those of two jobs never do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integrations.conftest import ROOT, torch_interpreter
from tests.support.long import long
from tests.support.processes import free_port

SCRIPT = """
import os, runstream
run = runstream.init(project="launchers", mode="offline")
run.log({"loss": 0.5})
with open(os.environ["FOUND"], "a") as file:
    file.write(f"{run.rank} {run.world_size} {run.id}\\n")
run.finish()
attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
raise SystemExit(1 if "FAILS_AT_FIRST" in os.environ and attempt == "0" else 0)
"""
TORCHRUN = """
import sys
from torch.distributed.elastic.multiprocessing.api import Std
Std.from_str = classmethod(lambda cls, text: cls.NONE)  # Debian's torch 1.13 fails there under Python 3.11
from torch.distributed.run import main
main(sys.argv[1:])
"""
STORE = """
import torch.distributed
torch.distributed.init_process_group("gloo")
"""


class Launched:
    """Jobs of one test, started one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._jobs = 0

    def job(self, *command: str, script: str = SCRIPT, **variables: str) -> list[tuple[int, int, str]]:
        """Rank, world size and run id of each process, sorted; `SCRIPT` in the command stands for the script's path."""
        self._jobs += 1
        found, program = self._folder / f"found-{self._jobs}", self._folder / f"script-{self._jobs}.py"
        program.write_text(script)
        paths = os.pathsep.join(str(ROOT / folder) for folder in ("sdk", "proto"))
        settings = {"RUNSTREAM_DIR": str(self._folder / "spool"), "RUNSTREAM_SILENT": "true", "OMP_NUM_THREADS": "1"}
        settings |= {"RUNSTREAM_CONSOLE": "off", "RUNSTREAM_CAPTURE_ENVIRONMENT": "false", "PYTHONPATH": paths}
        done = subprocess.run(
            [str(program) if word == "SCRIPT" else word for word in command],
            env={**os.environ, **settings, **variables, "FOUND": str(found)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        lines = [line.split() for line in found.read_text().splitlines()]
        return sorted((int(rank), int(world), run) for rank, world, run in lines)


@pytest.fixture
def launched(tmp_path: Path) -> Launched:
    return Launched(tmp_path)


def started_by(program: str) -> str:
    if shutil.which(program) is None:
        if os.environ.get("RUNSTREAM_REQUIRE_REAL"):
            pytest.fail(f"{program} is not installed")
        pytest.skip(f"{program} is not installed")
    return program


def assert_two_jobs(first: list[tuple[int, int, str]], second: list[tuple[int, int, str]]) -> None:
    for job in (first, second):
        assert [(rank, world) for rank, world, _ in job] == [(0, 2), (1, 2)]
        assert len({run for _, _, run in job}) == 1, job
    assert first[0][2] != second[0][2], "two jobs are one run"


@pytest.mark.parametrize("launcher", ["mpirun.openmpi", "mpirun.mpich"])
def test_mpi(launched: Launched, launcher: str) -> None:
    """Also where each rank's command is a shell that runs two trainings, one after the other."""
    options = ["--allow-run-as-root", "--oversubscribe"] if launcher == "mpirun.openmpi" else []
    start = [started_by(launcher), *options, "-n", "2"]
    plain = launched.job(*start, sys.executable, "SCRIPT")
    both = launched.job(*start, "bash", "-c", f"{sys.executable} $0 && {sys.executable} $0", "SCRIPT")
    runs = {run for _, _, run in both}
    assert len(both) == 4 and len(runs) == 2, both
    first, second = ([one for one in both if one[2] == run] for run in sorted(runs))
    assert_two_jobs(first, second)
    assert_two_jobs(plain, first)
    assert_two_jobs(plain, second)


def torchrun(*options: str) -> list[str]:
    return [torch_interpreter(), "-c", TORCHRUN, "--nproc_per_node", "2", *options]


def test_torchrun_with_and_without_a_shell_between(launched: Launched) -> None:
    plain = launched.job(*torchrun("--no_python"), sys.executable, "SCRIPT")
    options = torchrun("--no_python", "--standalone")
    assert_two_jobs(plain, launched.job(*options, "bash", "-c", f"{sys.executable} $0; exit $?", "SCRIPT"))


@long
def test_torchrun_goes_on_in_its_run_after_a_restart_and_not_in_another_of_the_same_rendezvous_id(
    launched: Launched,
) -> None:
    options = ["--rdzv_backend", "c10d", "--rdzv_endpoint", "127.0.0.1:0", "--rdzv_id", "100", "--max_restarts", "1"]
    command = [*torchrun("--no_python", *options), sys.executable, "SCRIPT"]
    restarted = launched.job(*command, FAILS_AT_FIRST="yes")
    assert len(restarted) > 2 and len({run for _, _, run in restarted}) == 1, restarted
    assert launched.job(*command)[0][2] != restarted[0][2]


@long
def test_ranks_that_have_torchs_process_group_agree_in_its_store(launched: Launched) -> None:
    """An address and port that two jobs have, as with DeepSpeed or in pods, and no server that could be asked."""
    shell = (
        "export MASTER_ADDR=127.0.0.1 MASTER_PORT=$PORT WORLD_SIZE=2;"
        f"for rank in 0 1; do RANK=$rank bash -c '{torch_interpreter()} $0; exit $?' $0 & done; wait -n && wait -n"
    )
    port = str(free_port())
    jobs = [launched.job("bash", "-c", shell, "SCRIPT", script=STORE + SCRIPT, PORT=port) for _ in range(2)]
    assert_two_jobs(*jobs)
