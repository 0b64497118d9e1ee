"""Rounds: a workload, a fault, rest, and the comparison of what was logged with what is stored."""

from __future__ import annotations

import random
import shutil
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.codes import DISK_LAB, FOREIGN_LAB, UP_LAB
from tests.faults.faults import FAULTS, Fault, Round
from tests.faults.findings import Findings
from tests.faults.lab import DiskLab, ForeignLab, Lab
from tests.faults.uplab import UpLab
from tests.faults.watch import watched
from tests.faults.workload import Workload

PROJECT = "faults"
_AFTERLIFE_S = 1.0
"""How long the trainers log on when all is healed: what comes after a fault is stored too."""
_LABS: dict[int, Callable[[Path], Lab]] = {DISK_LAB: DiskLab, FOREIGN_LAB: ForeignLab, UP_LAB: UpLab}


@dataclass(frozen=True, slots=True)
class Outcome:
    number: int
    fault: str
    brokers: int
    seconds: float
    findings: Findings
    problems: list[str]
    phases: dict[str, float] = field(default_factory=dict)
    """Seconds that each part of the round took."""

    @property
    def clean(self) -> bool:
        return self.findings.clean and not self.problems


class Labs:
    """One lab of each kind, started when it is first needed. A context manager."""

    def __init__(self, folder: Path, sabotage: str = "") -> None:
        """`sabotage`: "module:breaker", for all processes of the labs and their nodes."""
        self._folder = folder
        self._sabotage = sabotage
        self._labs: dict[int, Lab] = {}

    def lab(self, brokers: int) -> Lab:
        if brokers not in self._labs:
            folder = self._folder / f"lab-{brokers}"
            lab = _LABS[brokers](folder) if brokers in _LABS else Lab(folder, brokers)
            lab.sabotage = self._sabotage
            try:
                lab.start()
            except BaseException:
                lab.stop()  # what of it has started must not outlive it
                raise
            self._labs[brokers] = lab
        return self._labs[brokers]

    def end(self, brokers: int) -> None:
        """Stop one that no round needs any more: also a lab at rest takes its share of a machine."""
        if brokers in self._labs:
            self._labs.pop(brokers).stop()

    def __enter__(self) -> Labs:
        return self

    def __exit__(self, *_: object) -> None:
        for lab in self._labs.values():
            lab.stop()


class _Clock:
    def __init__(self) -> None:
        self._started = self._last = time.monotonic()
        self.phases: dict[str, float] = {}

    def passed(self, phase: str) -> None:
        now = time.monotonic()
        self.phases[phase] = round(now - self._last, 1)
        self._last = now

    def total_s(self) -> float:
        return time.monotonic() - self._started


def plan(seed: int, rounds: int, only: str = "", brokers: int | None = None) -> list[tuple[Fault, int]]:
    """Which fault in which lab: every fault in turn, in an order by the seed, the labs in turn too."""
    generator = random.Random(seed)
    known = [fault for fault in FAULTS if only in fault.name and (brokers is None or brokers in fault.brokers)]
    if not known:
        raise SystemExit(f"no fault is called {only!r}: {', '.join(fault.name for fault in FAULTS)}")
    planned: list[tuple[Fault, int]] = []
    turn = 0
    while len(planned) < rounds:
        order = list(known)
        generator.shuffle(order)
        for fault in order:
            where = fault.brokers[turn % len(fault.brokers)] if brokers is None else brokers
            planned.append((fault, where))
        turn += 1
    return planned[:rounds]


def play(lab: Lab, fault: Fault, folder: Path, seed: int, number: int) -> Outcome:
    """One round. Leaves the lab healed."""
    clock = _Clock()
    name = f"round-{number}"
    generator = random.Random(f"{seed}/{number}")
    arguments = fault.before(lab, folder / f"{name}-clock") if fault.before else {}
    workload = Workload(
        folder / name,
        lab.nodes(),
        f"{PROJECT}-{seed}",
        f"r{number}",
        generator.randrange(1 << 30),
        seconds=fault.load_s,
        **arguments,
    )
    round = Round(lab, workload, generator)
    findings = Findings()
    try:
        workload.start()
        workload.wait_logging()
        clock.passed("start")
        with watched(lab, workload, fault.watched) as crashed:
            fault.play(round)
            clock.passed("fault")
            lab.heal()
            workload.wait_logging()  # also those that were started a moment ago
            time.sleep(_AFTERLIFE_S)
            workload.enough()
            clock.passed("heal")
            round.problems += workload.wait(max(60.0, fault.load_s * 2))
            clock.passed("end")
        round.problems += workload.sync()
        clock.passed("sync")
        lab.wait_settled(workload.project, workload.runs)
        clock.passed("settle")
        findings = lab.checker.compare(workload, lossy=fault.lossy)
        for sentence in crashed:
            findings.note("false_crashed", sentence)
        lab.checker.check_verdicts(workload, findings)
        clock.passed("compare")
        if fault.after:
            fault.after(round, findings)
            clock.passed("after")
    except Exception:  # noqa: BLE001  # one round must not end the others
        round.problems.append(traceback.format_exc())
    finally:
        workload.end()
        try:
            lab.heal()
        except Exception:  # noqa: BLE001  # said; the next round in this lab says it again
            round.problems.append(f"the lab did not heal: {traceback.format_exc()}")
    outcome = Outcome(number, fault.name, lab.brokers, clock.total_s(), findings, round.problems, clock.phases)
    if outcome.clean:
        shutil.rmtree(folder / name, ignore_errors=True)
    return outcome
