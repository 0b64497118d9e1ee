"""A million hostile documents in lots of a thousand, while a thread beside plays the bystander all the time."""

from __future__ import annotations

import itertools
import json
import statistics
import sys
import threading
import time
import traceback
from typing import Any

from runstream_common.limits import MAX_BATCH_BYTES
from tests.field.breeding import Breeder
from tests.field.hostile import LATE_S, PROJECT, Hostility, as_json, documents, encodable, texts
from tests.field.wire import Client

_LOTS = {"sdk": 4000, "grpc": 5000, "http": 500}
_BATCH = 100
_BODY = 25
_WIRE = ("grpc", "grpc", "grpc", "grpc", "http")
_PAUSE_S = 1.0
_ALONE = 12
"""Looks before the first document: what the machine itself makes of it."""
_REPORT_S = 60.0


class Flood:
    """Sends lots of bred documents by all roads, one after the other; goes on when somebody was hurt, and keeps what
    was wrong in `problems`."""

    def __init__(self, hostility: Hostility, seed: int) -> None:
        self._hostility = hostility
        self._seed = seed
        self._breeder = Breeder(texts, documents, seed)
        self._began = self._told = time.monotonic()
        self._ended = threading.Event()
        self.problems: list[str] = []
        self.rates: dict[str, list[float]] = {}
        """Documents a second of each lot, by road."""
        self.waits: list[tuple[float, float]] = []
        """Seconds of each of the bystander's looks: for its ack, for its list. The first `_ALONE` had no neighbour."""

    def run(self, count: int, limit_s: float) -> None:
        """Send at least `count` documents, in `limit_s` seconds at most: by the SDK in this thread, as another client
        and over HTTP in a second."""
        self._hostility.wait_for_list()
        for _ in range(_ALONE):
            self._look()
        self._began = time.monotonic()
        self._ends = self._began + limit_s
        threads = [
            threading.Thread(target=self._watch, name="bystander"),
            threading.Thread(target=self._send, args=(_WIRE, self._breeder.other(self._seed + 1), count), name="wire"),
        ]
        for thread in threads:
            thread.start()
        try:
            self._send(("sdk",), self._breeder, count)
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()

    def _send(self, roads: tuple[str, ...], breeder: Breeder, count: int) -> None:
        tally = self._hostility.tally
        for road in itertools.cycle(roads):
            if tally.documents >= count or self._ended.is_set() or time.monotonic() > self._ends:
                return
            self._lot(road, breeder, min(_LOTS[road], count))
            now = time.monotonic()
            if now - self._told > _REPORT_S:
                self._told = now
                said = f"{tally.documents} in {now - self._began:.0f} s: {self.summary()}"
                print(said, file=sys.stderr, flush=True)

    def summary(self) -> dict[str, Any]:
        """What was seen until now."""
        return {
            "seconds": round(time.monotonic() - self._began),
            "rates": {road: round(len(found) / sum(1 / one for one in found)) for road, found in self.rates.items()},
            "alone": _of_looks(self.waits[:_ALONE]),
            "beside": _of_looks(self.waits[_ALONE:]),
            "late": sum(max(wait) > LATE_S for wait in self.waits[_ALONE:]),
            "refused": self._hostility.tally.refused,
            "problems": [one[-300:] for one in self.problems[:20]],
            "problem_count": len(self.problems),
        }

    def _lot(self, road: str, breeder: Breeder, size: int) -> None:
        began = time.monotonic()
        try:
            match road:
                case "sdk":
                    self._hostility.by_sdk([(breeder.text(), breeder.document()) for _ in range(size)])
                case "grpc":
                    self._by_grpc(breeder, size)
                case _:
                    self._by_http(breeder, size)
        except Exception:  # noqa: BLE001  # one lot's trouble is noted, and a million goes on
            self._note(f"{road}: {traceback.format_exc(limit=-3)}")
        self._hostility.tally.documents += size
        self.rates.setdefault(road, []).append(size / (time.monotonic() - began))

    def _by_grpc(self, breeder: Breeder, size: int) -> None:
        """Another client's batches; one in ten has hostile names too, which the gateway may refuse."""
        client = Client(self._hostility.stack, PROJECT, self._hostility.name("grpc"))
        config = encodable(breeder.text())
        batches = [client.batch({"start": {"world_size": 1, "environment": {}, "config_json": config}})]
        for number in range(size // _BATCH):
            records = (record(breeder, n, hostile_name=number % 10 == 9) for n in range(_BATCH))
            batch = client.batch(*records)
            if len(batch) < MAX_BATCH_BYTES * 3 // 2:  # what is far larger ends the stream
                batches.append(batch)
        self._hostility.tally.refused += sum(reason != "" for reason in client.send_all(batches))

    def _by_http(self, breeder: Breeder, size: int) -> None:
        for _ in range(size // _BODY):
            pairs = {breeder.text(): as_plain(breeder.document()) for _ in range(_BODY)}
            key, value = next(iter(pairs.items()))
            run = self._hostility.some_run()
            self._hostility.post("UpdateRuns", {"project": PROJECT, "runs": [run], "notes": key, "config": pairs})
            self._hostility.post("ListRuns", {"project": PROJECT, "search": key[:200], "page_size": 1})
            self._hostility.post("ListRuns", {"project": PROJECT, "filter": f'config.{key} = "{value}"'[:8000]})

    def _watch(self) -> None:
        while not self._ended.wait(_PAUSE_S):
            self._look()

    def _look(self) -> None:
        began = time.monotonic()
        try:
            self.waits.append(self._hostility.look())
        except Exception:  # noqa: BLE001  # as above
            self._note(f"bystander: {traceback.format_exc(limit=-3)}")
            self.waits.append((time.monotonic() - began,) * 2)

    def _note(self, problem: str) -> None:
        self.problems.append(problem)
        print(problem[:700], "...", problem[-700:], file=sys.stderr, flush=True)


def _of_looks(waits: list[tuple[float, float]]) -> dict[str, float]:
    found: dict[str, float] = {"looks": len(waits)}
    for name, one in zip(("ack", "list"), zip(*waits, strict=True), strict=False):
        found |= {f"{name}_p50_s": round(statistics.median(one), 3), f"{name}_max_s": round(max(one), 3)}
    return found


def record(breeder: Breeder, number: int, hostile_name: bool) -> dict[str, Any]:
    """A record of the wire with one document in it, of the kind that `number` says."""
    text = encodable(breeder.text())
    value = encodable(as_json(breeder.document())) if number % 2 else text
    key = text if hostile_name else f"key {number}"
    match number % 5:
        case 0:
            return {"field": {"section": 1 + number // 5 % 3, "key": text, "value_json": value}}
        case 1:
            return {"table": {"key": key, "columns": [text], "rows": 1, "rows_json": value, "plot_json": text}}
        case 2:
            return {"text": {"key": key, "value": value}}
        case 3:
            return {"alert": {"title": text, "text": value, "level": 1}}
        case _:
            return {"definition": {"name": text, "summary": value[:5000], "step_metric": text}}


def as_plain(value: Any) -> Any:
    """As a client's JSON encoder takes it: text, where it would refuse the value."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except RecursionError:
        return "deep"
    except (ValueError, TypeError):
        return repr(value)[:1000]
