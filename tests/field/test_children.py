"""Children of a training process: how they ended is recorded, and is not how the run ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from runstream.api import Api
from runstream.api.runs import STATES
from tests.field.user import play
from tests.support.processes import wait_for
from tests.support.stack import ServiceStack

NAMES = {number: name for name, number in STATES.items()}
SCRIPT = """
import multiprocessing, os, signal, sys
import runstream

def returns(run): run.log({"child": 1}, step=1)
def raises(run): run.log({"child": 1}, step=2); raise ValueError("wrong")
def exits(run): run.log({"child": 1}, step=3); sys.exit(3)
def killed(run): run.log({"child": 1}, step=4); os.kill(os.getpid(), signal.SIGKILL)

with runstream.init(id="r") as run:
    fork = multiprocessing.get_context("fork")
    for function in (returns, raises, exits, killed):
        child = fork.Process(target=function, args=(run,))
        child.start()
        child.join()
    if os.fork() == 0:
        run.log({"child": 1}, step=5)
        raise ValueError("bare")
    os.wait()
"""


def test_children_that_raised_or_were_killed_did_not_finish(stack: ServiceStack, project: str) -> None:
    played = play(SCRIPT)
    assert played.code == 0, played.err

    def ends() -> list[tuple[str, int]]:
        return sorted((NAMES[stream.state], stream.exit_code) for stream in Api().run(f"{project}/r").message.streams)

    wait_for(lambda: len(ends()) == 6 and "running" not in dict(ends()), "the ends of six processes")
    of_children = [("failed", 1), ("failed", 1), ("failed", 3), ("finished", 0), ("crashed", -1)]
    assert ends() == sorted([("finished", 0), *of_children])
    assert Api().run(f"{project}/r").state == "finished"


SPAWNED = """
import multiprocessing, sys
import runstream

def returns(run): runstream.init(id=run).log({"child": 1})
def raises(run): returns(run); raise ValueError("wrong")
def exits(run): returns(run); sys.exit(3)

if __name__ == "__main__":
    for method in ("spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        for function in (returns, raises, exits):
            child = context.Process(target=function, args=(f"{method}-{function.__name__}",))
            child.start()
            child.join()
"""


def test_runs_of_spawned_processes_end_as_these_do(stack: ServiceStack, project: str, tmp_path: Path) -> None:
    program = tmp_path / "spawned.py"  # spawned processes import it
    program.write_text(SPAWNED)
    subprocess.run([sys.executable, str(program)], check=True, timeout=120)

    def ends() -> list[tuple[str, str]]:
        return sorted((run.id, run.state) for run in Api().runs(project))

    as_they_end = {"returns": "finished", "raises": "failed", "exits": "failed"}
    expected = [(f"{m}-{how}", state) for m in ("spawn", "forkserver") for how, state in as_they_end.items()]
    wait_for(lambda: len(ends()) == 6 and "running" not in dict(ends()).values(), "the ends of six runs")
    assert ends() == sorted(expected)
