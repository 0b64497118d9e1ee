"""`python -m tests.faults --seed S --rounds N`: the fault laboratory. Prints a line a round, JSON last."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.faults.codes import LAB_NAMES
from tests.faults.faults import FAULTS
from tests.faults.rounds import Labs, Outcome, plan, play


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=int(time.time()) % 100_000, help="decides everything that is random"
    )
    parser.add_argument("--rounds", type=int, default=len(FAULTS))
    parser.add_argument("--only", default="", help="faults whose name contains this")
    parser.add_argument("--brokers", type=int, choices=tuple(LAB_NAMES), help=f"only in this lab: {LAB_NAMES}")
    parser.add_argument("--first", type=int, default=1, help="begin with this round of the plan")
    parser.add_argument("--folder", type=Path, help="where logs and spools are kept; default: a temporary folder")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="faults-"))
    planned = plan(arguments.seed, arguments.first - 1 + arguments.rounds, arguments.only, arguments.brokers)
    outcomes: list[Outcome] = []
    numbered = list(enumerate(planned, start=1))[arguments.first - 1 :]
    # Lab by lab: a round's dice follow from its number, not from the rounds before it.
    numbered.sort(key=lambda one: one[1][1])
    with Labs(folder) as labs:
        for brokers, rounds in itertools.groupby(numbered, key=lambda one: one[1][1]):
            for number, (fault, _) in rounds:
                outcome = play(labs.lab(brokers), fault, folder, arguments.seed, number)
                outcomes.append(outcome)
                report(outcome)
            labs.end(brokers)
    print(json.dumps(summary(arguments.seed, outcomes, folder)), flush=True)
    return 0 if all(outcome.clean for outcome in outcomes) else 1


def report(outcome: Outcome) -> None:
    """A line, and what was wrong below it."""
    where = LAB_NAMES[outcome.brokers]
    found = outcome.findings
    state = "ok"
    if not outcome.clean:
        state = f"{found.by_kind()}, false complete {found.false_complete}, false crashed {found.false_crashed}"
    line = f"round {outcome.number:3}  {outcome.fault:24} {where:10} {outcome.seconds:5.1f} s"
    print(f"{line}  {found.points:7,} points {found.documents:5,} documents  {state}", flush=True)
    for line in [*found.examples, *outcome.problems]:
        print(f"    {line}", file=sys.stderr, flush=True)


def _phases(outcomes: list[Outcome]) -> Counter[str]:
    total: Counter[str] = Counter()
    for outcome in outcomes:
        total.update(outcome.phases)
    return total


def summary(seed: int, outcomes: list[Outcome], folder: Path) -> dict[str, object]:
    total = {
        name: sum(getattr(outcome.findings, name) for outcome in outcomes)
        for name in (
            "points",
            "documents",
            "missing",
            "doubled",
            "wrong",
            "incomplete",
            "false_complete",
            "false_crashed",
        )
    }
    return {
        "seed": seed,
        "rounds": len(outcomes),
        **total,
        "problems": sum(len(outcome.problems) for outcome in outcomes),
        "faults": dict(Counter(f"{outcome.fault} ({outcome.brokers})" for outcome in outcomes)),
        "phases_s": {name: round(seconds, 1) for name, seconds in _phases(outcomes).items()},
        "longest_s": round(max((outcome.seconds for outcome in outcomes), default=0.0), 1),
        "seconds": round(sum(outcome.seconds for outcome in outcomes), 1),
        **({} if all(outcome.clean for outcome in outcomes) else {"folder": str(folder)}),
    }


if __name__ == "__main__":
    sys.exit(main())
