"""A project of random runs with documents of all kinds, as rows of the tables, and what each run is: what the reference
of `reference.py` is asked about."""

from __future__ import annotations

import json
import math
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
import pytest

from runstream_common.bus.protocol import Origin
from runstream_common.clickhouse.client import ArrowInserter, connect
from runstream_common.identity import run_month, version
from runstream_common.objects import MediaConfig, MediaStore
from runstream_common.times import from_us
from runstream_control.control_store import ControlStore, Resume
from runstream_control.principal import Principal
from runstream_ingestor.writer.arrow_schemas import to_table
from runstream_ingestor.writer.decode import PointBlock
from runstream_ingestor.writer.flush import Insert, to_insert
from runstream_ingestor.writer.point_tables import points_table, series_table
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.storage import Storage
from runstream_query.methods.query_service import QueryService
from runstream_query.runs.deletion import Deletion
from tests.integration.reference import Run
from tests.support.stack import ServiceStack

CREATED_US = 1_790_000_000_000_000
MONTH = run_month(CREATED_US)
VALUES: list[Any] = [
    0, 1, 1.0, -3, 0.1, 1e-05, 2.5e10, math.nan, math.inf, -math.inf, True, False, None, "adam", "sgd", "Adam w", "1",
    'q"uo\\te/s', "é", "a\nb", "NaN", "", [], [1, 2], ["a", "b"], ["a", 1, True], [1.5, math.nan], {}, -0.0,
]  # fmt: skip
KEYS = ["lr", "model.depth", "opt", "opt.value", "x y", "flag"]
METRICS = ["loss", "acc", "acc.max", "é/m"]
DEFINITIONS = [
    {"acc": "max"}, {"acc": "max,min"}, {"a*": "best"}, {"loss": "none"}, {"*": "none", "acc": "last"},
    {"acc": "mean,first"}, {"a*": "none", "ac*": "max"}, {},
]  # fmt: skip


class ManyRuns:
    """`runs`: what must be found; `inserts`: their rows, each twice, superseded versions among them."""

    def __init__(self, project: str, count: int, seed: int) -> None:
        self.project = project
        self.random = random.Random(seed)
        self.fields: list[dict[str, Any]] = []
        self.streams: list[dict[str, Any]] = []
        self.blocks: list[PointBlock] = []
        self.runs = [self._run(f"run-{number:03d}") for number in range(count)]
        self._run_of_helpers("only-helpers")

    @property
    def inserts(self) -> list[Insert]:
        inserts: list[Insert] = []
        for rows, table in ((self.fields, "run_fields"), (self.streams, "streams")):
            for part in (rows[0::2], rows[1::2], rows[::-1]):
                inserts.append(to_insert(table, to_table(table, part)))
        for blocks in (self.blocks[0::2], self.blocks[1::2], self.blocks):
            inserts += [to_insert("points", points_table(blocks)), to_insert("series", series_table(blocks))]
        self.random.shuffle(inserts)
        return inserts

    def _run(self, name: str) -> Run:
        pick = self.random
        created_us = CREATED_US + pick.randrange(20) * 1_000_000
        run: Run = {"id": name, "created_at": created_us / 1e6}
        self._streams(name, run, created_us)
        for key, options in {
            "name": ["first", "second", "", "ä"],
            "group": ["g1", "g2", ""],
            "job_type": ["train", "eval", ""],
            "notes": ["a note", ""],
            "sweep_id": ["s1", ""],
            "tags": [[], ["good"], ["good", "base"], ["a/b"]],
        }.items():
            if pick.random() < 0.9:
                value = pick.choice(options)
                self._field(name, "run", key, value)
                if value not in ("", []):
                    run[key] = value
        run.setdefault("name", name)
        for key in KEYS:
            if pick.random() < 0.7:
                value = pick.choice(VALUES)
                run[f"config.{key}"] = value
                self._field(name, "config", key, value)
        metrics = self._metrics(name)
        definitions = pick.choice(DEFINITIONS)
        for pattern, kinds in definitions.items():
            goal = pick.choice(["", "minimize"])
            self._field(name, "definition", pattern, {"summary": kinds, "goal": goal})
            definitions = {**definitions, pattern: (kinds, goal)}
        summary = summarised(metrics, definitions)
        for key in ("acc", "mine", "loss"):
            if pick.random() < 0.2:
                summary[key] = pick.choice(VALUES)
                self._field(name, "summary", key, summary[key])
        run.update({f"summary.{key}": value for key, value in summary.items()})
        return run

    def _field(self, run: str, section: str, key: str, value: Any) -> None:
        """With a superseded value, and one of a key that was deleted."""
        number = self.random.randrange(2, 1000)
        for offset, one in ((-1, self.random.choice(VALUES)), (0, value)):
            text = json.dumps(one, ensure_ascii=False, separators=(",", ":"))
            self._row(run, section, key, text, version(1, number + offset))
        self._row(run, section, f"gone.{key}", '"x"', version(1, number))
        self._row(run, section, f"gone.{key}", "", version(1, number + 1))

    def _row(self, run: str, section: str, key: str, value: str, age: int) -> None:
        self.fields.append(
            {
                "project": f"main/{self.project}", "run": run, "section": section, "key": key, "value": value,
                "deleted": int(value == ""), "time": from_us(CREATED_US), "version": age, "run_month": MONTH,
            }
        )  # fmt: skip

    def _streams(self, name: str, run: Run, created_us: int) -> None:
        pick = self.random
        ranks = pick.choice([1, 1, 2])
        user, hosts, ends, seen = pick.choice(["ann", "bob"]), set(), [], created_us
        for rank in range(ranks):
            host = pick.choice(["node1", "node2"])
            hosts.add(host)
            outcome = pick.choice(["finished", "finished", "failed", "preempted", ""])
            end_us = created_us + pick.randrange(1, 100) * 1_000_000
            ends.append((outcome, end_us))
            common = {"rank": rank, "user": user, "world_size": ranks}
            self._stream(name, f"writer-{rank}", "start", created_us, created_us, host=host, **common)
            self._stream(name, f"writer-{rank}", "heartbeat", end_us, created_us, host=host, **common)
            if outcome:
                self._stream(name, f"writer-{rank}", "finish", end_us, created_us, outcome=outcome, **common)
            seen = max(seen, end_us)
        self._stream(name, "helper-00", "start", created_us, created_us, helper=2, host="elsewhere", user="")
        outcomes = [outcome for outcome, _ in ends]
        state = next(
            (s for s in ("failed", "crashed", "preempted") if s in [o or "crashed" for o in outcomes]),
            "finished",
        )
        run |= {"state": state, "user": user, "host": sorted(hosts), "heartbeat_at": seen / 1e6}
        finished = [end for outcome, end in ends if outcome]
        run["duration"] = ((max(finished) if finished else seen) - created_us) / 1e6

    def _run_of_helpers(self, name: str) -> None:
        self._stream(name, "helper-00", "start", CREATED_US, CREATED_US, helper=2)

    def _stream(self, run: str, writer: str, event: str, time_us: int, created_us: int, **fields: Any) -> None:
        self.streams.append(
            {
                "project": f"main/{self.project}", "run": run, "writer": writer, "event": event, "rank": 0, "epoch": 1,
                "world_size": 1, "host": "", "pid": 1, "user": "ann", "helper": 0, "outcome": "", "exit_code": 0,
                "points": 0, "records": 0, "dropped_points": 0, "run_created": from_us(created_us),
                "received": from_us(time_us), "time": from_us(time_us), "version": version(1, len(self.streams) + 1),
                "run_month": MONTH, **fields,
            }
        )  # fmt: skip

    def _metrics(self, name: str) -> dict[str, dict[tuple[int, int], float]]:
        """Metric -> (rank, step) -> value, what survives of two attempts."""
        pick = self.random
        found: dict[str, dict[tuple[int, int], float]] = {}
        for epoch in (1, 2):
            for metric in METRICS:
                if pick.random() < 0.4:
                    continue
                for rank in range(pick.choice([1, 2])):
                    steps = sorted({pick.randrange(-3, 8) for _ in range(3)})
                    values = [pick.choice([pick.gauss(0, 1), 1.0, math.nan, math.inf]) for _ in steps]
                    ages = [version(epoch, 100 * rank + 10 + number) for number in range(len(steps))]
                    origin = Origin(
                        "main", self.project, name, f"w{epoch}{rank}", rank, epoch, CREATED_US, "u", 1, 0, 0
                    )
                    self.blocks.append(
                        PointBlock(
                            origin,
                            (metric,),
                            np.array(steps, dtype=np.int64),
                            np.array([CREATED_US] * len(steps), dtype=np.int64),
                            np.array(ages, dtype=np.uint64),
                            np.array([[value] for value in values]),
                        )
                    )
                    for step, value in zip(steps, values, strict=True):
                        found.setdefault(metric, {})[rank, step] = value
        self.points = {**getattr(self, "points", {}), name: found}
        return found


def summarised(
    metrics: dict[str, dict[tuple[int, int], float]], definitions: dict[str, tuple[str, str]]
) -> dict[str, float]:
    """Last values, mean over ranks, and what define_metric asks for."""
    from runstream_query.runs.metric_definitions import find

    documents = {name: {"summary": kinds, "goal": goal} for name, (kinds, goal) in sorted(definitions.items())}
    summary: dict[str, float] = {}
    extra: dict[str, float] = {}
    for metric, points in metrics.items():
        definition = find(documents, metric)
        kinds = {kind.strip() for kind in str(definition.get("summary") or "").split(",")}
        if "none" in kinds:
            continue
        ranks = sorted({rank for rank, _ in points})
        lasts = [points[rank, max(step for r, step in points if r == rank)] for rank in ranks]
        summary[metric] = sum(lasts) / len(lasts)
        finite = {place: value for place, value in points.items() if math.isfinite(value)}
        if not finite:
            continue
        low, high = min(finite.values()), max(finite.values())
        first = finite[min(finite, key=lambda place: (place[1], place[0]))]
        known = {"min": low, "max": high, "mean": sum(finite.values()) / len(finite), "first": first}
        known["best"] = low if definition.get("goal") == "minimize" else high
        extra.update({f"{metric}.{kind}": known[kind] for kind in kinds & set(known)})
    return {**summary, **extra}


PROJECT = "many"
RUNS = ManyRuns(PROJECT, 60, seed=5)
_STORED: list[int] = []


class Asked:
    def __init__(self, answers: QueryService, principal: Principal, client: Any, store: ControlStore) -> None:
        self.answers, self.principal, self.client, self.store = answers, principal, client, store

    async def pages(self, size: int, **question: Any) -> tuple[list[pb.Run], list[int]]:
        request = pb.ListRunsRequest(project=PROJECT, page_size=size, **question)
        runs: list[pb.Run] = []
        totals = []
        while True:
            response = await self.answers.listing.ListRuns(self.principal, request)
            runs += response.runs
            totals.append(response.total)
            if not response.next_page_token:
                return runs, totals
            assert len(response.runs) == size
            request.page_token = response.next_page_token

    async def ids(self, filter: Any = None, order: Sequence[str] = (), size: int = 1000, **more: Any) -> list[str]:
        text = json.dumps(filter) if filter is not None else ""
        return [run.id for run in (await self.pages(size, filter=text, order=order, fields=["none"], **more))[0]]

    async def copy(self, project: str) -> None:
        """The same runs in another project."""
        for run in RUNS.runs:
            for writer in ("writer-1", "writer-2"):  # two attempts: what they logged has two epochs
                await self.store.bind_stream(
                    self.principal, team="", project=project, run=run["id"], writer_id=writer, rank=0,
                    resume=Resume.ALLOW,
                )  # fmt: skip
        for table in ("points", "series", "streams", "run_fields"):
            await self.client.command(
                f"INSERT INTO {table} SELECT * REPLACE ('main/{project}' AS project) "
                f"FROM (SELECT * FROM {table} WHERE project = 'main/{PROJECT}')"
            )


@pytest.fixture
async def asked(embedded: ServiceStack) -> AsyncIterator[Asked]:
    client = await connect(embedded.clickhouse.config)
    store = ControlStore.open(embedded.control_url)
    principal = await store.authenticate(embedded.key)
    storage = Storage(client)
    if not _STORED:
        await store.bind_stream(
            principal, team="", project=PROJECT, run="run-000", writer_id="writer-x", rank=0, resume=Resume.ALLOW
        )
        insert = ArrowInserter(client)
        for one in RUNS.inserts:
            await insert(one.table, one.columns, one.data, one.token)
        _STORED.append(1)
    deletion = Deletion(client, storage, store, MediaStore(MediaConfig("memory:///")))
    yield Asked(QueryService(storage, store, deletion), principal, client, store)
    await client.close()
    await store.close()
