"""Connections that are slow, refused, half-open, cut, or answered in another order."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from tests.faults.faults.base import Round
from tests.support.processes import wait_for


def reorder(round: Round) -> None:
    """The connections of a node go to both gateways in turn, one of them slow by seconds, and are cut: what was under
    way to the slow one arrives after what the other one was sent again."""
    one = round.lab.to_gateway["gateway-1"]
    one.others = [round.lab.to_gateway["gateway-2"].target]
    try:
        for _ in range(4):
            one.delay_s = round.random.uniform(1.0, 3.0)
            one.cut()
            round.pause(1.0, 2.5)
    finally:
        one.others = []
        one.delay_s = 0.0
        one.cut()
        time.sleep(3.5)


def lost_answers(round: Round) -> None:
    """Inserts are applied, and the connection is cut before the answer."""
    lost = lose_answers(round)
    round.expect(lost >= 6, f"only {lost} answers were lost")


def lose_answers(round: Round) -> int:
    """As `lost_answers`, beside other faults, which may leave few inserts to answer. Returns how many were lost."""

    def has_points() -> bool:
        try:
            return round.lab.checker.count(round.workload.project, round.workload.runs) > 0
        except Exception:  # noqa: BLE001  # another fault may have ended ClickHouse at this moment
            time.sleep(0.5)
            return False

    wait_for(has_points, "the first point")
    before = round.lab.to_clickhouse.answers_lost
    for _ in range(6):
        round.lab.to_clickhouse.lost_answers = round.random.randint(1, 4)
        round.pause(0.5, 1.2)
    return int(round.lab.to_clickhouse.answers_lost - before)


def network(round: Round) -> None:
    """Slow, refusing, half-open, cut: between the SDK and its gateway, and between the writers and ClickHouse."""
    for _ in range(4):
        proxy = round.random.choice([*round.lab.to_gateway.values(), round.lab.to_clickhouse])
        how = round.random.choice(["slow", "refusing", "half-open", "cut"])
        if how == "slow":
            proxy.bytes_per_s = 10_000.0
        elif how == "refusing":
            proxy.refusing = True
            proxy.cut()
        elif how == "half-open":
            proxy.stopped = True
        else:
            proxy.cut()
        round.pause(1.0, 3.0)
        proxy.heal()
        if how == "half-open":
            proxy.cut()


@contextlib.contextmanager
def unheard_senders(round: Round) -> Iterator[None]:
    """Nothing that senders write comes to a gateway, from a moment before on; it is lost when this is left."""
    proxies = list(round.lab.to_gateway.values())
    for proxy in proxies:
        proxy.stopped = True
    try:
        round.pause(0.2, 0.8)
        yield
    finally:
        for proxy in proxies:
            proxy.cut()
        time.sleep(0.05)  # before anything may pass again
        for proxy in proxies:
            proxy.stopped = False
