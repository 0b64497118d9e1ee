"""Many agents on one grid, some of them killed: every point must be finished exactly once.

    python -m tests.faults.sweeps [--agents 100] [--points 1000] [--killed 20] [--seed 1]

starts the services itself and prints what it saw as JSON; the exit status says whether it was right. Each agent is a
process of its own with the real agent's loop (forked from one that has the imports done: what is tried is the contract,
not a hundred starts of Python). Trials write a line, wait some milliseconds, and log no run. Those who are to be killed
work as all others; one of their first trials has no end, and within it SIGKILL comes. The others leave them as many
points as they need to come to it, however late they begin: what is left is done when all have been killed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from runstream.settings import Settings
from runstream.sweeps.agent_session import AgentSession
from runstream.sweeps.client import Client
from runstream.sweeps.create import create
from runstream.sweeps.function_agent import FunctionAgent
from runstream.sweeps.sweep_info import TrialInfo
from tests.support.stack import ServiceStack

LEASE_S = 5.0
"""The shortest that there is: a killed agent's trial waits so long for another."""

_LAST_TRIAL = 4
"""In one of so many first trials an agent is killed: every one comes to have them."""
_IN_TRIAL = "in the trial that it is killed in"
_PATIENCE_S = 60.0
_FOREVER_S = 3600.0
_GO_ON = "go on"
"""A file in the folder: all who are to be killed have been."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a storm ended in."""

    agents: int
    killed: int
    """Agents that died by SIGKILL."""
    killed_in_trial: int
    """Of these: in the middle of a trial."""
    lost: int
    """Trials that were begun more than once, and so by another agent after the first was killed."""
    points: int
    finished: int
    """Trials that the server calls finished."""
    distinct: int
    """Different points among them."""
    attempts: int
    """Leases that began a trial; more than the points by what was lost with the killed."""
    ended_twice: list[int]
    """Trials of which two agents were told that their end counts: must be none."""
    failed: int
    """Agents that ended with an error of their own."""
    seconds: float

    @property
    def right(self) -> bool:
        return self.finished == self.points == self.distinct and not self.ended_twice and not self.failed


def storm(settings: Settings, folder: Path, agents: int, points: int, killed: int, seed: int) -> Outcome:
    """Run one to its end. `folder` takes the agents' logs."""
    generator = random.Random(seed)
    config = {"method": "grid", "parameters": {"point": {"min": 0, "max": points - 1, "step": 1}}}
    client = Client(settings)
    sweep = create(client, config, project="storm").id
    began = time.monotonic()
    fatal = {number: generator.randint(1, _LAST_TRIAL) for number in generator.sample(range(agents), killed)}
    share = max((points - 2 * killed * _LAST_TRIAL) // agents, 1)
    pids = {
        _fork_agent(settings, sweep, number, folder, seed, fatal.get(number), share): number for number in range(agents)
    }
    victims = [pid for pid, number in pids.items() if number in fatal]
    try:
        in_trial = _kill(generator.sample(victims, killed), pids, folder, generator)
    finally:
        (folder / _GO_ON).touch()
    statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    seconds = time.monotonic() - began
    trials = _all_trials(client, sweep)
    finished = [trial for trial in trials if trial.state == "finished"]
    counted = Counter(number for path in folder.glob("*.log") for number in _said(path, "finished"))
    return Outcome(
        agents=agents,
        killed=statuses.count(-signal.SIGKILL),
        killed_in_trial=in_trial,
        lost=sum(trial.attempt > 1 for trial in trials),
        points=points,
        finished=len(finished),
        distinct=len({trial.parameters["point"] for trial in finished}),
        attempts=sum(trial.attempt for trial in trials),
        ended_twice=sorted(number for number, times in counted.items() if times > 1),
        failed=sum(status > 0 for status in statuses),
        seconds=round(seconds, 1),
    )


def _fork_agent(
    settings: Settings, sweep: str, number: int, folder: Path, seed: int, fatal: int | None, share: int
) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        _work(settings, sweep, f"agent-{number}", folder, random.Random(seed * 1000 + number), fatal, share)
        status = 0
    except BaseException as error:  # noqa: BLE001  # a forked child must never return into the parent's code
        print(f"agent {number}: {type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(status)


def _work(
    settings: Settings,
    sweep: str,
    name: str,
    folder: Path,
    generator: random.Random,
    fatal: int | None,
    share: int,
) -> None:
    """`fatal`: which of its trials, from 1, this agent is killed in; None: it lives, and ends `share` trials at most
    before all others have been killed."""
    log = os.open(folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def say(sentence: str) -> None:
        os.write(log, f"{sentence}\n".encode())

    begun = 0

    def train() -> None:
        nonlocal begun
        begun += 1
        if begun == fatal:
            say(_IN_TRIAL)
            time.sleep(_FOREVER_S)
        while fatal is None and begun > share and not (folder / _GO_ON).exists():
            time.sleep(0.01)
        time.sleep(generator.uniform(0.02, 0.4))

    session = AgentSession(Client(settings.but(dir=str(folder / "spool"))), sweep, name, say=say)
    session.open()
    FunctionAgent(session, train).run()
    session.close()


def _kill(victims: list[int], pids: Mapping[int, int], folder: Path, generator: random.Random) -> int:
    """Kill them one after the other, each at some moment of its last trial; how many had not said its end."""
    in_trial = 0
    for pid in victims:
        log = folder / f"agent-{pids[pid]}.log"
        deadline = time.monotonic() + _PATIENCE_S
        while not (log.exists() and _IN_TRIAL in log.read_text()):
            if time.monotonic() > deadline:
                break
            time.sleep(0.002)
        time.sleep(generator.uniform(0, 0.1))
        os.kill(pid, signal.SIGKILL)
        in_trial += len(_said(log, "")) % 2
    return in_trial


def _said(log: Path, what: str) -> list[int]:
    """Numbers of the trials of which the agent said so; all lines about trials where `what` is empty."""
    found = []
    for line in log.read_text().splitlines():
        words = line.split()
        if words[:1] == ["trial"] and (not what or words[2:3] == [what]):
            found.append(int(words[1].rstrip(":")))
    return found


def _all_trials(client: Client, sweep: str) -> list[TrialInfo]:
    trials: list[TrialInfo] = []
    token = ""
    while True:
        found = client.call("ListTrials", sweep=sweep, page_size=1000, page_token=token)
        trials += map(TrialInfo.of, found.get("trials", []))
        token = found.get("next_page_token", "")
        if not token:
            return trials


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.sweeps", description=__doc__)
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--killed", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        stack = ServiceStack(folder / "stack").start()
        try:
            variables = {**stack.sdk_environment(folder / "spool"), "RUNSTREAM_AGENT_LEASE_S": f"{LEASE_S:g}"}
            settings = Settings.from_environment(variables)
            outcome = storm(settings, folder, arguments.agents, arguments.points, arguments.killed, arguments.seed)
        finally:
            stack.stop()
    print(json.dumps({**asdict(outcome), "right": outcome.right}, indent=1))
    return 0 if outcome.right else 1


if __name__ == "__main__":
    sys.exit(main())
