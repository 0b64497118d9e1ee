"""A run logged by the real SDK through the real gateway, watched over gRPC and server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from runstream.api import Api
from runstream.api.live import Watch
from runstream_control.control_store import ControlStore
from runstream_proto.v1 import live_pb2 as pb
from runstream_proto.v1 import query_pb2_grpc as rpc
from tests.e2e import log_live
from tests.integration.test_query_service import call
from tests.support.processes import Service, free_port, wait_for
from tests.support.stack import ServiceStack, clean_environment

SOON_S = 2.0


class Trainer:
    """The real SDK in a process of its own, which logs what it is told."""

    def __init__(self, stack: ServiceStack, folder: Path, run: str, **variables: str) -> None:
        environment = {**clean_environment(), **stack.sdk_environment(folder / f"spool-{run}"), **variables}
        command = [sys.executable, log_live.__file__, run]
        self._process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)

    def tell(self, **what: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        self._process.stdin.flush()

    def finish(self) -> None:
        self.tell(finish=True)
        assert self._process.wait(30) == 0

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()


class Events:
    """Server-sent events, read by a thread; closing it drops the connection."""

    def __init__(self, stack: ServiceStack, question: dict[str, Any], last: str = "", port: str = "http") -> None:
        headers = {"authorization": f"Bearer {stack.key}", **({"last-event-id": last} if last else {})}
        request = urllib.request.Request(
            f"http://{stack.address(port)}/api/v1/WatchRuns", json.dumps(question).encode(), headers
        )
        self._response = urllib.request.urlopen(request, timeout=20)
        self.told: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            id_ = ""
            for line in self._response:
                if line.startswith(b"id: "):
                    id_ = line[4:].strip().decode()
                if line.startswith(b"data: "):
                    self.told.append(json.loads(line[6:]))
                    self.ids.append(id_)  # with its data, as in a browser: else a cut between them loses an event
        self.ended.set()

    def points(self) -> list[tuple[int, float]]:
        return [
            (int(step), value)
            for event in self.told
            for one in event.get("points", [])
            for step, value in zip(one["steps"], one["values"], strict=True)
        ]

    def wait_for_step(self, step: int) -> None:
        wait_for(lambda: any(told == step for told, _ in self.points()), f"step {step}")

    def close(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            self._response.fp.raw._sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(60)
        self._response.close()


@pytest.fixture
def asking(embedded: ServiceStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServiceStack:
    for name, value in embedded.sdk_environment(tmp_path / "asking").items():
        monkeypatch.setenv(name, value)
    return embedded


@pytest.fixture
def trainer(asking: ServiceStack, tmp_path: Path) -> Iterator[tuple[str, Trainer]]:
    run = f"run-{time.time_ns()}"
    trainer = Trainer(asking, tmp_path, run, RUNSTREAM_CONSOLE="auto")
    trainer.tell(log={"loss": 0.0}, step=0)
    wait_for(lambda: call(asking, "GetRun", {"project": "live", "run": run}, asking.key)[0] == 200, "the run")
    wait_for(lambda: "loss" in Api().run(f"live/{run}").metrics(), "its first point")
    yield run, trainer
    trainer.close()


@pytest.fixture
def collect() -> Iterator[Callable[..., list[Any]]]:
    """`collect(api, ...)` watches in a thread, until the test ends, and returns the growing list of responses."""
    watches: list[tuple[Watch, threading.Thread]] = []

    def begin(api: Api, *arguments: Any, **options: Any) -> list[Any]:
        told: list[Any] = []
        watch = api.watch(*arguments, **options, signs_of_life=True)
        thread = threading.Thread(target=lambda: told.extend(watch), daemon=True)
        thread.start()
        watches.append((watch, thread))
        return told

    yield begin
    for watch, thread in watches:
        watch.close()
        thread.join(60)
        assert not thread.is_alive()


def open_streams(stack: ServiceStack) -> float:
    with urllib.request.urlopen(f"http://{stack.address('query_ops')}/metrics", timeout=5) as response:
        for line in response.read().decode().splitlines():
            if line.startswith('runstream_query_streams_open{method="WatchRuns"}'):
                return float(line.rpartition(" ")[2])
    return 0.0


def test_what_is_logged_is_seen_within_two_seconds_over_both_transports(
    asking: ServiceStack, trainer: tuple[str, Trainer], collect: Callable[..., list[Any]]
) -> None:
    run, training = trainer
    question = {"project": "live", "runs": [run], "metrics": ["lo*"], "console": True}
    events = Events(asking, question)
    told = collect(Api(), "live", runs=run, metrics="loss", console=True)
    wait_for(lambda: bool(told) and bool(events.told), "both first responses")
    delays: list[float] = []

    def seen(what: str, over_grpc: Callable[[Any], bool], over_http: Callable[[dict[str, Any]], bool]) -> None:
        started_s = time.monotonic()
        wait_for(lambda: any(map(over_grpc, told)) and any(map(over_http, events.told)), what)
        delays.append(time.monotonic() - started_s)

    for step in range(1, 5):
        training.tell(log={"loss": step / 4, "other": 1.0}, step=step)
        seen(
            f"step {step}",
            lambda one, step=step: any(step in points.steps for points in one.points),  # type: ignore[misc]
            lambda one, step=step: any(str(step) in points["steps"] for points in one["points"]),  # type: ignore[misc]
        )
    training.tell(log={"loss": 9.0}, step=2)
    wait_for(lambda: (2, 9.0) in events.points(), "the old step that was logged again")
    training.tell(alert="warm")
    seen("alert", lambda one: any(a.title == "warm" for a in one.alerts), lambda one: bool(one["alerts"]))
    training.tell(config={"lr": 0.5})
    seen("config", lambda one: any(f.key == "lr" for f in one.fields), lambda one: bool(one["fields"]))
    assert statistics.median(delays) < SOON_S, delays  # not each: the machine may be busy with something else
    training.tell(print="hello")  # consoles are read by the node's sender, in its own time
    seen("console", lambda one: any(c.text == "hello" for c in one.console), lambda one: bool(one["console"]))
    training.finish()
    seen(
        "end",
        lambda one: any(r.state == "finished" for r in one.runs),
        lambda one: any(r["state"] == "finished" for r in one["runs"]),
    )
    assert [event["event_id"] for event in events.told] == events.ids
    assert not any(points["metric"] == "other" for event in events.told for points in event["points"])
    events.close()


def test_a_dropped_connection_goes_on_without_a_gap_or_a_double(
    asking: ServiceStack, trainer: tuple[str, Trainer]
) -> None:
    """From the first response on; the stream may begin with step 0, which was stored a moment before (live.proto)."""
    run, training = trainer
    question = {"project": "live", "runs": [run], "metrics": ["loss"]}
    events = Events(asking, question)
    wait_for(lambda: bool(events.told), "the first event")
    told: list[tuple[int, float]] = []
    for turn in range(2):
        for step in range(turn * 10 + 1, turn * 10 + 6):
            training.tell(log={"loss": float(step)}, step=step)
        events.wait_for_step(turn * 10 + 5)
        events.close()
        told += events.points()
        for step in range(turn * 10 + 6, turn * 10 + 11):
            training.tell(log={"loss": float(step)}, step=step)
        events = Events(asking, question, last=events.ids[-1])
        wait_for(lambda: bool(events.told), "the first event")  # noqa: B023  # called before the next turn
        assert not any(event.get("reset") for event in events.told)
    events.wait_for_step(20)
    events.close()
    told += events.points()
    if told[0] == (0, 0.0):
        del told[0]
    assert told == [(step, float(step)) for step in range(1, 21)]


def test_the_server_lets_go_of_streams_whose_callers_have_gone(
    asking: ServiceStack, trainer: tuple[str, Trainer]
) -> None:
    run, _ = trainer
    wait_for(lambda: open_streams(asking) == 0, "the end of other tests' streams")
    events = Events(asking, {"project": "live", "runs": [run]})
    with grpc.insecure_channel(asking.address("grpc")) as channel:
        call_ = rpc.QueryServiceStub(channel).WatchRuns(
            pb.WatchRunsRequest(project="live"), metadata=(("authorization", f"Bearer {asking.key}"),)
        )
        next(iter(call_))
        wait_for(lambda: open_streams(asking) == 2, "both streams")
        call_.cancel()
    wait_for(lambda: open_streams(asking) == 1, "the end of the gRPC stream")
    events.close()
    wait_for(lambda: open_streams(asking) == 0, "the end of the events")


def test_teams_with_the_same_names_are_told_only_their_own(
    asking: ServiceStack, trainer: tuple[str, Trainer], tmp_path: Path, collect: Callable[..., list[Any]]
) -> None:
    run, training = trainer

    async def make() -> str:
        store = ControlStore.open(asking.control_url)
        try:
            return str(await store.create_api_key("mallory", f"team-{run}"))
        finally:
            await store.close()

    key = asyncio.run(make())
    theirs = Trainer(asking, tmp_path / "other", run, RUNSTREAM_API_KEY=key)
    theirs.tell(log={"loss": -1.0}, step=0)
    other = Api(api_key=key)
    wait_for(lambda: any(p.name == "live" and any(p.runs()) for p in other.projects()), "the other team's run")
    told = collect(Api(), "live", runs=run, metrics="loss")
    their_told = collect(other, "live", runs=run, metrics="loss")
    whole = collect(other, "live")
    wait_for(lambda: bool(told and their_told and whole), "first responses")
    training.tell(log={"loss": 1.0}, step=1)
    theirs.tell(log={"loss": -2.0}, step=1)
    wait_for(lambda: any(one.points for one in told) and any(one.points for one in their_told), "points")
    training.finish()
    wait_for(lambda: any(change.state == "finished" for one in told for change in one.runs), "the end")
    theirs.finish()
    wait_for(lambda: any(change.state == "finished" for one in whole for change in one.runs), "their end")
    assert [list(points.values) for one in told for points in one.points] == [[1.0]]
    assert [list(points.values) for one in their_told for points in one.points] == [[-2.0]]
    theirs.close()
    assert [change.run for one in whole for change in one.runs] == [run]


def test_the_service_ends_in_time_and_its_watchers_go_on_at_the_next(
    asking: ServiceStack,
    trainer: tuple[str, Trainer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    collect: Callable[..., list[Any]],
) -> None:
    run, training = trainer
    ports = {name: f"127.0.0.1:{free_port()}" for name in ("HTTP", "GRPC", "OPS")}
    variables = {f"RUNSTREAM_QUERY_{name}": address for name, address in ports.items()}
    service = Service("runstream_query", tmp_path / "query.log", {**asking.environment, **variables}).start()
    service.wait_answering(f"http://{ports['OPS']}/healthz")
    monkeypatch.setenv("RUNSTREAM_QUERY_GRPC", ports["GRPC"])
    told = collect(Api(), "live", runs=run, metrics="loss")
    request = urllib.request.Request(
        f"http://{ports['HTTP']}/api/v1/WatchRuns?project=live", headers={"authorization": f"Bearer {asking.key}"}
    )
    with urllib.request.urlopen(request, timeout=20) as events:
        assert events.readline().startswith(b"id: ")
        wait_for(lambda: bool(told), "the first response")
        started_s = time.monotonic()
        service.stop()
        assert time.monotonic() - started_s < 10.0
        rest = events.read().decode()
        assert "event: error" in rest and "UNAVAILABLE" in rest
    before = len(told)
    service = Service("runstream_query", tmp_path / "query.log", {**asking.environment, **variables}).start()
    try:
        wait_for(lambda: any(one.HasField("reset") for one in told[before:]), "the word that something may be missing")
        training.tell(log={"loss": 5.0}, step=5)
        wait_for(lambda: any(one.points for one in told[before:]), "points from the next")
    finally:
        service.stop()
    assert "Traceback" not in (tmp_path / "query.log").read_text()
