"""Several faults at once, in one round: those that do not get in each other's way."""

from __future__ import annotations

import random
import threading
import traceback

from tests.faults.faults.base import Round
from tests.faults.faults.network import lose_answers, network
from tests.faults.faults.processes import kill, kill_sdk

_SERVICES = (kill("writer-1", "writer-2", "ingest"), kill("clickhouse"), kill("query"))
"""One of them: two would start the same part again at once."""


def several(round: Round) -> None:
    """Two or three: the SDK's processes die, a service dies, connections fail."""
    chosen = [
        kill_sdk,
        round.random.choice(_SERVICES),
        round.random.choice((network, lose_answers)),
    ]
    round.random.shuffle(chosen)
    chosen = chosen[: round.random.randint(2, 3)]
    threads = []
    for play in chosen:
        # Dice of its own for each: which of them throws first is not decided by the seed.
        own = Round(round.lab, round.workload, random.Random(round.random.random()), round.problems)

        def play_one(play: object = play, own: Round = own) -> None:
            assert callable(play)
            try:
                play(own)
            except Exception:  # noqa: BLE001  # said, as an exception of a fault played alone is
                round.problems.append(traceback.format_exc())

        threads.append(threading.Thread(target=play_one))
        threads[-1].start()
    for thread in threads:
        thread.join()
