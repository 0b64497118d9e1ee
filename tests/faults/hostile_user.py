"""Sends documents that nobody should write: `python -m tests.faults.hostile_user ORDER`, with an order in JSON.

By SDK, from this node's spool, by gRPC and by HTTP, each some lots. Exits with 1 and a sentence on stderr when a run of
its own was hurt by what it logged, or an answer said that the server failed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hypothesis
from hypothesis import strategies as st

from runstream.api import Api
from tests.field import hostile

_DOCUMENTS = 8
"""In a lot: they go into one run."""
_QUESTIONS = 3
_CERTAIN = ("Pr\udcfcfung", {"\udcfc": ["\ud800", "\0"], "deep": [[[[]]] * 3]})
"""What is in every lot, however the dice fall."""
_KEPT = r"Pr\xfcfung"
"""How its text is kept."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where a laboratory is reached: what a client asks of a stack."""

    http: str
    gateway: str
    key: str

    @property
    def services(self) -> dict[str, Any]:
        """None: the laboratory looks after its own."""
        return {}

    def address(self, name: str) -> str:
        return {"http": self.http, "gateway": self.gateway}[name]


def main() -> int:
    order = json.loads(sys.argv[1])
    hostile.PROJECT = order["project"]
    user = hostile.Hostility(Door(**order["door"]))  # type: ignore[arg-type]  # it asks for no more of a stack

    def by_sdk(lot: list[tuple[str, Any]]) -> None:
        user.by_sdk([_CERTAIN, *lot])
        name = Api().run(f"{hostile.PROJECT}/sdk-{user._runs}").name
        assert name == _KEPT, f"the run's name is {name!r}"

    json_texts = hostile.json_texts.map(lambda text: text.encode("utf-8", "backslashreplace").decode())
    roads: tuple[tuple[Any, Callable[[Any], None]], ...] = (
        (st.tuples(hostile.texts, hostile.documents), by_sdk),
        (st.tuples(json_texts, st.none()), user.by_grpc),
        (st.tuples(hostile.texts, st.none()), user.by_http),
    )
    for number, (pairs, send) in enumerate(roads):
        size = _DOCUMENTS if send != user.by_http else _QUESTIONS
        try:
            _play(st.lists(pairs, min_size=size, max_size=size), send, order["seed"] + number, order["lots"])
        except Exception as error:  # noqa: BLE001  # whatever it is, it is said in a sentence
            print(f"{send.__name__}: {type(error).__name__}: {str(error)[:2000]}", file=sys.stderr)
            return 1
    return 0


def _play(lots: st.SearchStrategy[Any], send: Callable[[Any], None], seed: int, number: int) -> None:
    """As they come: a laboratory's round is no place to look for the smallest."""
    bounded = hypothesis.settings(
        max_examples=number,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )

    def act(lot: Any) -> None:
        send(lot)

    hypothesis.seed(seed)(bounded(hypothesis.given(lots)(act)))()


if __name__ == "__main__":
    sys.exit(main())
