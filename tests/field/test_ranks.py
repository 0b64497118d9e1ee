"""Which run a rank belongs to, where no launcher says it for certain."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from runstream.api import Api

SCRIPT = """
import os, runstream
with runstream.init(name=os.environ["NAME"]) as run:
    for step in range(20):
        run.log({"loss": step})
print(run.id)
"""


def ranks_of(name: str, *ranks: int, **variables: str) -> tuple[list[str], str]:
    """Start these ranks at once, each below a shell of its own; the runs that they report to, and what they say."""
    command = ["bash", "-c", '"$0" -c "$1"; exit $?', sys.executable, SCRIPT]
    started = [
        subprocess.Popen(
            command,
            env={**os.environ, "NAME": name, "RANK": str(rank), "RUNSTREAM_SILENT": "false", **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ranks
    ]
    ended = [process.communicate(timeout=100) for process in started]
    assert not any(process.returncode for process in started), ended
    return [out.strip() for out, _ in ended], "".join(err for _, err in ended)


def test_ranks_with_a_parent_each_meet_and_the_next_job_of_that_name_is_another_run(project: str, spool: Path) -> None:
    """Pods of a PyTorchJob: a parent, a spool and a host each; the job is made again under its name."""
    pods = {"WORLD_SIZE": "2", "MASTER_ADDR": "job-master-0", "MASTER_PORT": "23456"}
    first, _ = ranks_of("first", 0, 1, **pods)
    second, _ = ranks_of("second", 0, 1, **pods)
    assert len(set(first)) == len(set(second)) == 1 and first[0] != second[0], (first, second)
    found = {run.id: run for run in Api().runs(project)}
    assert {found[first[0]].name, found[second[0]].name} == {"first", "second"}
    for run in found.values():
        verdict = run.completeness
        assert (verdict["verdict"], verdict["points_stored"]) == ("complete", 40), verdict


def test_ranks_made_by_hand_in_one_shell_never_merge_and_those_that_did_not_meet_are_seen(project: str) -> None:
    """Two experiments of which nothing tells them apart but the variables that they share."""
    by_hand = {"WORLD_SIZE": "2", "LOCAL_RANK": "0"}
    (one,), said = ranks_of("one", 0, **by_hand)
    (other,), _ = ranks_of("other", 0, **by_hand)
    assert one != other and "RUNSTREAM_RUN_ID" in said
    findings = Api().run(f"{project}/{one}").completeness["findings"]
    assert "1 of 2 ranks has reported" in " ".join(findings), findings
