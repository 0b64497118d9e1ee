"""What an agent starts, and what of it survives: macros with W&B's meanings, GPUs, the guard between the two."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from runstream.errors import UsageError
from runstream.sweeps.gpu_binding import Devices, find_devices
from runstream.sweeps.macros import expand
from runstream.sweeps.trial_process import ExitResult, TrialProcess, failure
from tests.support.processes import wait_for

PARAMETERS = {"lr": 0.001, "layers": 3, "flag": True, "off": False, "name": None, "dims": [1, 2], "opt": {"beta": 0.9}}


def expanded(command: list[Any] | None, path: Path = Path("/nowhere"), **variables: str) -> list[str]:
    return expand(command, "train.py", PARAMETERS, path, "/bin/python9", variables)


def test_without_a_command_the_program_gets_all_parameters_as_python_writes_them() -> None:
    arguments = ["--lr=0.001", "--layers=3", "--flag=True", "--off=False", "--name=None", "--dims=[1, 2]"]
    assert expanded(None) == ["/usr/bin/env", "/bin/python9", "train.py", *arguments, "--opt={'beta': 0.9}"]


@pytest.mark.parametrize(
    ("macro", "arguments"),
    [
        ("${env}", ["/usr/bin/env"]),
        ("${interpreter}", ["/bin/python9"]),
        ("${program}", ["train.py"]),
        ("${args_no_hyphens}", ["lr=0.001", "layers=3", "flag=True", "off=False", "name=None", "dims=[1, 2]"]),
        ("${args_no_boolean_flags}", ["--lr=0.001", "--layers=3", "--flag", "--name=None", "--dims=[1, 2]"]),
        ("${args_no_equals}", ["--lr", "0.001", "--layers", "3", "--flag", "True", "--off", "False"]),
    ],
)
def test_macros_become_arguments(macro: str, arguments: list[str]) -> None:
    assert expanded([macro])[: len(arguments)] == arguments


def test_json_macros_hold_all_parameters(tmp_path: Path) -> None:
    assert json.loads(expanded(["${args_json}"])[0]) == PARAMETERS
    path = tmp_path / "arguments.json"
    assert expanded(["run", "${args_json_file}"], path) == ["run", str(path)]
    assert json.loads(path.read_text()) == PARAMETERS
    assert not (tmp_path / "other.json").exists()


def test_variables_stand_within_words_and_an_unknown_one_becomes_its_name() -> None:
    assert expanded(["--data=${envvar:DATA}/x", "${envvar:NONE}"], DATA="/d") == ["--data=/d/x", "NONE"]
    assert expanded(["-n", 4]) == ["-n", "4"]


def test_a_sweep_without_a_program_says_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"give `program:` or `command:`"):
        expand(None, "", {}, Path("/nowhere"), "python", {})
    assert expand(["./run.sh"], "", {}, Path("/nowhere"), "python", {}) == ["./run.sh"]


# GPUs


def test_trials_get_different_gpus_and_wait_when_all_are_taken(tmp_path: Path) -> None:
    devices = Devices(("0", "1", "GPU-ab", "3"), 2, check_busy=False, folder=tmp_path)
    assert devices.trials == 2
    first, second = devices.take(), devices.take()
    assert first is not None and second is not None
    assert [first.variables, second.variables] == [
        {"CUDA_VISIBLE_DEVICES": "0,1"},
        {"CUDA_VISIBLE_DEVICES": "GPU-ab,3"},
    ]
    other_agent = Devices(("0", "1", "GPU-ab", "3"), 1, check_busy=False, folder=tmp_path)
    assert devices.take() is None and other_agent.take() is None
    first.release()
    third = other_agent.take()
    assert third is not None and third.devices == ("0",)
    assert devices.take() is None, "one is free, two are wanted: and that one is not kept"
    fourth = other_agent.take()
    assert fourth is not None and fourth.devices == ("1",)
    for binding in (second, third, fourth):
        binding.release()


class FakeNvml(SimpleNamespace):
    """What pynvml is asked, for three GPUs of which the second is busy."""

    def nvmlDeviceGetCount(self) -> int:
        return 3

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[int]:
        return [4711] if handle == 1 else []


def test_found_gpus_that_compute_are_left_alone_and_given_ones_are_not(tmp_path: Path) -> None:
    names, check_busy = find_devices("", {}, FakeNvml())
    assert (names, check_busy) == (("0", "1", "2"), True)
    found = Devices(names, 1, check_busy, tmp_path, FakeNvml())
    bindings = [found.take() for _ in range(3)]
    assert [one.devices if one else None for one in bindings] == [("0",), ("2",), None]
    assert find_devices("1,2", {"CUDA_VISIBLE_DEVICES": "0"}) == (("1", "2"), False)
    assert find_devices("", {"CUDA_VISIBLE_DEVICES": "4, 5"}) == (("4", "5"), True)
    for binding in bindings:
        if binding is not None:
            binding.release()


def test_more_gpus_than_there_are_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no GPU was found here: neither CUDA_VISIBLE_DEVICES nor NVIDIA's driver"):
        Devices((), 1, False, tmp_path)
    with pytest.raises(UsageError, match="there are 2 GPUs here"):
        Devices(("0", "1"), 3, False, tmp_path)


# The guard


def ended(child: TrialProcess, timeout_s: float = 20.0) -> ExitResult:
    deadline = time.monotonic() + timeout_s
    while child.ended is None:
        assert select.select([child], [], [], max(deadline - time.monotonic(), 0))[0], "the program did not end"
        child.poll()
    return child.ended


def started(*arguments: str, grace_s: float = 5.0, **variables: str) -> TrialProcess:
    return TrialProcess(arguments, {**os.environ, **variables}, grace_s)


@pytest.mark.parametrize(
    ("script", "status", "message"),
    [
        ("pass", 0, ""),
        ("raise ValueError('lr is too large')", 1, "ValueError: lr is too large"),
        ("import sys; print('one\\ntwo', file=sys.stderr); sys.exit(3)", 3, "one\ntwo"),
        ("import sys; sys.exit(4)", 4, "exit status 4"),
        ("import os; os.kill(os.getpid(), 9)", -9, "killed by SIGKILL"),
    ],
)
def test_how_a_program_ended_is_known(script: str, status: int, message: str) -> None:
    assert ended(started(sys.executable, "-c", script)) == ExitResult(status, message)


def test_a_program_that_is_not_there_is_named() -> None:
    assert ended(started("./no-such-program")) == ExitResult(
        127, "it did not start: ./no-such-program: No such file or directory"
    )


def test_progress_bars_do_not_hide_what_went_wrong() -> None:
    assert failure(1, "10%\r50%\r90%\n  File x\nmodule.SomeError: no\n") == "module.SomeError: no"
    assert failure(2, "usage: x\nx: error: bad\n") == "usage: x\nx: error: bad"


FAMILY = """
import os, subprocess, sys, time
sleeping = "import time; time.sleep(600)"
same = subprocess.Popen([sys.executable, "-c", sleeping])
apart = subprocess.Popen([sys.executable, "-c", sleeping], start_new_session=True)
orphaning = f"setsid {sys.executable} -c '{sleeping}' >/dev/null 2>&1 & echo $!"
orphan = subprocess.run(["sh", "-c", orphaning], capture_output=True, text=True)
with open(sys.argv[1] + ".part", "w") as file:
    print(os.getpid(), same.pid, apart.pid, int(orphan.stdout), file=file)
os.rename(sys.argv[1] + ".part", sys.argv[1])
time.sleep(600)
"""
"""As torchrun: a worker in its group, one in a session of its own, and a grandchild whose parent is gone."""


def family(place: Path) -> list[int]:
    wait_for(place.exists, "the program's children")
    return [int(word) for word in place.read_text().split()]


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("end", ["signal", "kill"])
def test_a_program_ends_with_all_that_it_started(end: str, tmp_path: Path) -> None:
    child = started(sys.executable, "-c", FAMILY, str(tmp_path / "pids"))
    pids = family(tmp_path / "pids")
    assert all(alive(pid) for pid in pids)
    if end == "signal":
        child.signal(signal.SIGTERM)
    else:
        child.kill()
    assert ended(child).status == (-signal.SIGTERM if end == "signal" else -signal.SIGKILL)
    assert not [pid for pid in pids if alive(pid)]


AGENT = """
import os, sys, time
from runstream.sweeps.trial_process import TrialProcess
child = TrialProcess(sys.argv[1:], os.environ, 0.5)
time.sleep(600)
"""


@pytest.mark.parametrize("stubborn", [False, True])
def test_sigkill_of_the_agent_leaves_nothing_behind(stubborn: bool, tmp_path: Path) -> None:
    script = ("import signal; signal.signal(15, signal.SIG_IGN)\n" if stubborn else "") + FAMILY
    command = [sys.executable, "-c", AGENT, sys.executable, "-c", script, str(tmp_path / "pids")]
    agent = subprocess.Popen(command)
    try:
        pids = family(tmp_path / "pids")
        guards = [process.pid for process in psutil.Process(agent.pid).children()]
    finally:
        agent.kill()
        agent.wait()
    wait_for(lambda: not any(alive(pid) for pid in [*pids, *guards]), "the end of what the agent had started", 10)


def test_sigkill_of_the_guard_ends_its_program(tmp_path: Path) -> None:
    child = started(sys.executable, "-c", FAMILY, str(tmp_path / "pids"))
    pids = family(tmp_path / "pids")
    guard = psutil.Process(pids[0]).parent()
    assert guard is not None
    guard.kill()
    assert "watches over it was killed" in ended(child).message
    wait_for(lambda: not alive(pids[0]) and not alive(pids[1]), "the end of the program and its group")
    os.kill(pids[2], signal.SIGKILL)  # sessions of their own, and nobody is left who knows them: the honest limit
    os.kill(pids[3], signal.SIGKILL)


def test_locks_are_held_until_the_last_process_of_a_trial_is_gone(tmp_path: Path) -> None:
    devices = Devices(("0",), 1, check_busy=False, folder=tmp_path / "locks")
    binding = devices.take()
    assert binding is not None
    child = TrialProcess([sys.executable, "-c", FAMILY, str(tmp_path / "pids")], os.environ, 5.0, binding.lock_fds)
    binding.release()
    family(tmp_path / "pids")
    assert devices.take() is None
    child.kill()
    ended(child)
    freed = devices.take()
    assert freed is not None
    freed.release()


def test_the_program_hears_signals_that_the_agent_hands_on(tmp_path: Path) -> None:
    script = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        f"open({str(tmp_path / 'ready')!r}, 'w').close()\n"
        "time.sleep(600)\n"
    )
    child = started(sys.executable, "-c", script)
    wait_for((tmp_path / "ready").exists, "the program")
    child.signal(signal.SIGTERM)
    assert ended(child).status == 7
