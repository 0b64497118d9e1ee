"""`python -m tests.field.hostile --documents N`: documents that nobody should write, by SDK, gRPC and HTTP, with a
bystander beside whose records must arrive and whose project must list. JSON last."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import runstream
from runstream.api import Api
from runstream.errors import NotFoundError
from tests.field.wire import Client
from tests.support.processes import wait_for
from tests.support.stack import ServiceStack

PROJECT = "hostile"
LATE_S = 5.0
DOCUMENTS = 40
"""Of one example: they go into one run."""

characters = st.characters(exclude_categories=()) | st.sampled_from(["\ud800", "\udcfc", "\0", "\x1e", "\n", "\\", '"'])
texts = st.text(characters, max_size=12) | st.builds(lambda one, n: one * n, st.text(characters), st.integers(0, 2000))
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | texts
    | st.integers(300, 4200).map(lambda digits: 10**digits)
    | st.sampled_from([b"\xff", {1, 2}, object(), datetime(2026, 1, 1, tzinfo=UTC), "x" * 300_000])
)


def nested(leaf: Any, levels: int, kinds: str) -> Any:
    for level in range(levels):
        leaf = [leaf] if kinds[level % len(kinds)] == "l" else {"k": leaf}
    return leaf


documents = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
) | st.builds(nested, leaves, st.integers(0, 1200), st.text("ld", min_size=1, max_size=5))


def as_json(value: Any) -> str:
    try:
        return json.dumps(value, default=str)
    except (ValueError, TypeError, RecursionError):
        return "[" * 2000 + "]" * 2000


json_texts = texts | documents.map(as_json)


@dataclass(slots=True)
class Tally:
    documents: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    """How long the bystander waited for its ack, or its project's list, at most."""


class Hostility:
    """Sends documents, and looks after each lot whether anybody was hurt."""

    def __init__(self, stack: ServiceStack, late_s: float = LATE_S) -> None:
        self.stack = stack
        self._late_s = late_s
        self._bystander = Client(stack, PROJECT, "bystander")
        self._runs = 0
        self._last = "bystander"
        self._api = Api()
        self._pids = {name: service.pid for name, service in stack.services.items()}
        self.tally = Tally()

    def by_sdk(self, lot: list[tuple[str, Any]]) -> None:
        """Whatever a training program gives to the SDK: it must neither raise nor lose the run."""
        name = self.name("sdk")
        with warnings.catch_warnings(record=True):  # what the SDK says of such documents
            self._train(name, lot)
        wait_for(lambda: self._verdict(name) == "complete", f"the verdict `complete` of {name}")  # behind Kafka later

    def _verdict(self, name: str) -> str:
        try:
            return str(self._api.run(f"{PROJECT}/{name}").completeness["verdict"])
        except NotFoundError:
            return ""

    def _train(self, name: str, lot: list[tuple[str, Any]]) -> None:
        (first, value), rest = lot[0], lot[1:]
        run = runstream.init(
            project=PROJECT, id=name, name=first, notes=first, tags=[first], group=first, config={first: value}
        )
        for number, (text, one) in enumerate(rest):
            match number % 5:
                case 0:
                    run.config.update({text: one}, allow_val_change=True)
                case 1:
                    run.summary[text] = one
                case 2:
                    run.log({text: one, f"{text}.n": number})
                case 3:
                    run.alert(text, text, wait_duration=0)
                case _:
                    run.log({"table": runstream.Table(columns=[text], data=[[one]])})
        run.log({"last": 1.0})
        assert run.finish(timeout=60), f"run {name} was not stored: {run.status()}"

    def by_grpc(self, lot: list[tuple[str, Any]]) -> None:
        """Another client's JSON, valid or not."""
        client = Client(self.stack, PROJECT, self.name("grpc"))
        records: list[dict[str, Any]] = [{"start": {"world_size": 1, "environment": {}, "config_json": lot[0][0]}}]
        for number, (text, _) in enumerate(lot):
            key = f"key {number}"
            records += [
                {"field": {"section": 1 + number % 3, "key": key, "value_json": text}},
                {"table": {"key": key, "columns": [text], "rows": 1, "rows_json": text, "plot_json": text}},
                {"text": {"key": key, "value": text}},
                {"definition": {"name": text, "summary": text, "step_metric": text}},
            ]
        self.tally.refused += client.send(client.batch(*records)) != ""

    def by_http(self, lot: list[tuple[str, Any]]) -> None:
        """Questions and changes with hostile texts: no answer says that the server failed."""
        for text, _ in lot:
            self.post("ListRuns", {"project": PROJECT, "search": text[:200], "page_size": 1})
            self.post("ListRuns", {"project": PROJECT, "filter": text})
            self.post("UpdateRuns", {"project": PROJECT, "runs": ["bystander"], "notes": text, "config": {text: text}})

    def send_alive(self) -> None:
        """Send one record of the bystander and wait until it is stored."""
        problem = self._bystander.send(self._bystander.batch({"text": {"key": "alive", "value": "words"}}))
        assert problem == "", problem

    def look(self) -> tuple[float, float]:
        """The bystander's record is stored in time, its project lists, and no service was replaced or has ended.
        Return the seconds of both."""
        began = time.monotonic()
        self.send_alive()
        waited = time.monotonic() - began
        began = time.monotonic()
        found = next(iter(self._api.runs(PROJECT)))
        assert found.id
        listed = time.monotonic() - began
        slowest = max(waited, listed)
        self.tally.slowest_s = max(self.tally.slowest_s, slowest)
        assert slowest < self._late_s, f"the bystander waited {slowest:.1f} s"
        for name, service in self.stack.services.items():
            assert service.running() and service.pid == self._pids[name], f"{name} has ended"
        return waited, listed

    def wait_for_list(self, patience_s: float = 30.0) -> None:
        """Return when the bystander's run is listed for the first time."""
        start = {"start": {"world_size": 1, "environment": {}, "config_json": "{}"}}
        assert self._bystander.send(self._bystander.batch(start)) == ""
        ends = time.monotonic() + patience_s
        while next(iter(self._api.runs(PROJECT)), None) is None:
            assert time.monotonic() < ends, "the bystander's run is not listed"
            time.sleep(0.1)

    def run(self, documents_: int, seed: int | None = None) -> Tally:
        """Send about so many. Raises AssertionError with the smallest example when somebody was hurt."""
        roads: dict[str, tuple[Any, Callable[[list[tuple[str, Any]]], None]]] = {
            "sdk": (st.tuples(texts, documents), self.by_sdk),
            "grpc": (st.tuples(json_texts.map(encodable), st.none()), self.by_grpc),
            "http": (st.tuples(texts, st.none()), self.by_http),
        }
        lots = st.sampled_from(sorted(roads)).flatmap(
            lambda road: st.tuples(st.just(road), st.lists(roads[road][0], min_size=DOCUMENTS // 2, max_size=DOCUMENTS))
        )

        def send(lot: tuple[str, list[tuple[str, Any]]]) -> None:
            road, pairs = lot
            roads[road][1](pairs)
            self.tally.documents += len(pairs)
            self.look()

        bounded = settings(
            max_examples=max(documents_ * 4 // (3 * DOCUMENTS), 3),
            deadline=None,
            database=None,
            derandomize=seed is None,
            suppress_health_check=list(HealthCheck),
        )
        bounded(given(lots)(send))()
        return self.tally

    def name(self, road: str) -> str:
        self._runs += 1
        self._last = f"{road}-{self._runs}"
        return self._last

    def some_run(self) -> str:
        """The run that was made last."""
        return self._last

    def post(self, method: str, body: dict[str, Any]) -> None:
        request = urllib.request.Request(
            f"http://{self.stack.address('http')}/api/v1/{method}",
            json.dumps(body).encode(),
            {"authorization": f"Bearer {self.stack.key}", "content-type": "application/json"},
        )
        try:
            urllib.request.urlopen(request, timeout=30).close()
        except urllib.error.HTTPError as error:
            assert error.code < 500, f"{method}: {error.code} {error.read()!r} for {str(body)[:2000]}"
            self.tally.refused += 1


def encodable(text: str) -> str:
    """A protobuf client cannot make others; raw bytes that are none are the fuzzer's part."""
    return text.encode("utf-8", "backslashreplace").decode()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.field.hostile", description=__doc__)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60.0, help="at most")
    arguments = parser.parse_args()
    from tests.field.flood import Flood

    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        stack = ServiceStack(Path(folder)).start()
        os.environ.update(stack.sdk_environment(Path(folder) / "spool"))
        try:
            hostility = Hostility(stack, late_s=60)  # who was late is counted
            flood = Flood(hostility, arguments.seed)
            flood.run(arguments.documents, arguments.minutes * 60)
        finally:
            stack.stop()
    print(json.dumps({**asdict(hostility.tally), **flood.summary()}))
    return 1 if flood.problems or flood.summary()["late"] else 0


if __name__ == "__main__":
    sys.exit(main())
