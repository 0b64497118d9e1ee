"""What is held in memory of a project's runs is what a fresh reading finds, after every insert, merge and deletion."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from runstream_common.clickhouse.client import ArrowInserter, StorageUnavailableError, connect
from runstream_common.clickhouse.tombstones import Tombstone, purge
from runstream_proto.v1 import query_pb2 as pb
from runstream_query.base.storage import Storage
from runstream_query.runs.documents import load, make_run
from runstream_query.runs.encoded_documents import DocumentReader
from runstream_query.runs.field_choice import parse_columns
from runstream_query.runs.field_names import parse_field
from runstream_query.runs.large_values import LONGEST_IN_LIST
from runstream_query.runs.selection.listed_fields import ListedFields
from runstream_query.runs.selection.loading import FIELDS as FIELDS_TABLE
from runstream_query.runs.selection.loading import SERIES, Source
from runstream_query.runs.selection.run_table import RunTable, read
from runstream_query.runs.selection.run_tables import RunTables
from tests.integration.many_runs import CREATED_US, ManyRuns
from tests.support.long import LONG
from tests.support.stack import ServiceStack

FIELDS = [
    parse_field(name)
    for name in (
        "id", "name", "state", "user", "host", "tags", "sweep_id", "created_at", "duration", "config.lr", "config.opt",
        "config.opt.value", "summary.loss", "summary.acc", "summary.mine", "summary.acc.max", "summary.acc.best",
    )
]  # fmt: skip
METRIC = Source(SERIES, "é/m")


class Counting(Storage):
    """Knows how often all runs were read, and how often some by name."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.reads: Counter[str] = Counter()
        self.looks = 0
        self.asked: Counter[str] = Counter()
        self.statements: list[str] = []
        self.fail = ""
        self.left = -1
        """Reads that are answered before all fail; negative: all are answered."""

    async def table(self, name: str, **question: Any) -> Any:
        if name == self.fail or self.left == 0:
            raise StorageUnavailableError("gone")
        self.left -= 1
        self.reads["some" if question.get("runs") else "all"] += 1
        return await super().table(name, **question)

    async def ask(self, statement: str, **question: Any) -> Any:
        self.statements.append(statement)
        return await super().ask(statement, **question)

    async def rows(self, name: str, **question: Any) -> Any:
        self.looks += name == "parts_now"
        self.asked[name] += 1
        return await super().rows(name, **question)


@pytest.fixture
async def client(embedded: ServiceStack) -> AsyncIterator[Any]:
    client = await connect(embedded.clickhouse.config)
    yield client
    await client.close()


async def seen(tables: RunTables, project: str) -> dict[str, Any]:
    table = await read(tables, project, CREATED_US, FIELDS, [METRIC])
    runs = table.runs.to_pylist()
    whole = await tables.documents(project, runs, DocumentReader(tables._storage, project))
    documents = [pb.Run.FromString(one.message) for one in whole]
    return {run: (*one, document) for run, one, document in zip(runs, values(table), documents, strict=True)}


async def keys(tables: RunTables, project: str) -> list[dict[str, Any]]:
    """The config's keys of all runs."""
    question = {"section": "config", "search": "", "pattern": "", "after": "", "limit": 1000}
    read = partial(tables._storage.rows, "config_fields", project=project, **question)
    return await tables.answer(project, FIELDS_TABLE, "config", read)


def values(table: RunTable) -> list[Any]:
    columns = [*(table.column(field) for field in FIELDS), table.source(METRIC)]
    shown = [
        [(kind, size, names[1][code]) for kind, size, code in zip(c.kinds, c.sizes, names[0], strict=True)]
        for c in columns
        for names in (c.names,)
    ]
    rows = table.rows(list(range(len(table))))
    return [(*parts, sorted(row.items(), key=str)) for *parts, row in zip(*shown, rows, strict=True)]


@pytest.mark.parametrize("seed", range(3 if LONG else 1))
async def test_what_is_held_is_what_is_stored(client: Any, seed: int) -> None:
    pick = random.Random(seed)
    project = f"held-{seed}"
    inserts = ManyRuns(project, 24, seed=seed).inserts
    others = ManyRuns(f"beside-{seed}", 4, seed=seed + 50).inserts
    insert, storage = ArrowInserter(client), Counting(client)
    held = RunTables(storage)
    deleted: set[str] = set()
    compared = 0
    pieces = [(project, one) for one in inserts] + [("", one) for one in others]
    pick.shuffle(pieces)
    for _, one in pieces:
        await insert(one.table, one.columns, one.data, one.token)
        if pick.random() < 0.2:
            await client.command(f"OPTIMIZE TABLE {one.table}")
        if pick.random() < 0.08 and not deleted:
            deleted.add("run-003")
            await purge(client, [Tombstone(f"main/{project}", "run-003", 5)])
        found = await seen(held, f"main/{project}")
        assert found == await seen(RunTables(Storage(client)), f"main/{project}")
        assert await keys(held, f"main/{project}") == await keys(RunTables(Storage(client)), f"main/{project}")
        compared += bool(found)
    assert compared > 5 and len(found) >= 23
    assert storage.reads["some"] > 0, "nothing was ever read by the runs that changed"


async def test_without_changes_nothing_is_read_again_and_with_some_only_those_runs(client: Any) -> None:
    project, runs = "main/held-calm", ManyRuns("held-calm", 12, seed=9)
    insert, storage = ArrowInserter(client), Counting(client)
    for one in runs.inserts:
        await insert(one.table, one.columns, one.data, one.token)
    held = RunTables(storage)
    await keys(held, project)
    await keys(held, project)
    await seen(held, project)
    await keys(held, project)
    assert storage.asked["config_fields"] == 1 and storage.reads["all"]
    storage.reads.clear()
    storage.asked.clear()
    await seen(held, project)
    await keys(held, project)
    assert not storage.reads and not storage.asked["config_fields"]
    for one in ManyRuns("beside-calm", 3, seed=1).inserts:
        await insert(one.table, one.columns, one.data, one.token)
    await seen(held, project)
    await keys(held, project)
    assert storage.reads["some"] or not storage.asked["config_fields"], "no part had rows of the project"
    assert storage.reads["all"] == 0, "another project's rows made all be read again"
    runs.fields = []
    runs._field("run-001", "config", "lr", 77)
    for one in (one for one in runs.inserts if one.table == "run_fields"):
        await insert(one.table, one.columns, one.data, one.token)
        break
    storage.reads.clear()
    storage.statements.clear()
    await seen(held, project)
    assert storage.reads["all"] == 0 and storage.reads["some"] == 2, "documents, and definitions"
    (looked,) = (text for text in storage.statements if "_part IN" in text)
    assert "FROM run_fields" in looked and "FROM series" not in looked, "tables without new parts are not asked"
    assert await seen(held, project) == await seen(RunTables(Storage(client)), project)
    assert await keys(held, project) == await keys(RunTables(Storage(client)), project)
    assert storage.asked["config_fields"], "what was kept is older than what was changed"


ODD = [
    "5", "-0", "0", "0.0", "1e-05", "0.1", "0.30000000000000004", "9007199254740993", "100000000000000000000", "1e400",
    "NaN", "-Infinity", "+5", "05", ".5", '"5"', "true", "null", "[1,2]", '{"a":1}', '"', "123.0",
]  # fmt: skip


async def test_a_number_that_is_held_without_its_text_is_shown_as_the_document_has_it(client: Any) -> None:
    """Of a million runs each has another learning rate: only where the number says less is its text kept."""
    project, keys_of = "main/held-numbers", {f"k{place}": text for place, text in enumerate(ODD)}
    made = ManyRuns("held-numbers", 3, seed=4)
    made.fields = []
    for section in ("config", "summary", "run"):
        for key, text in {**keys_of, "name": "123.0"}.items():
            made._field("run-001", section, key, 0)
            made.fields[-3]["value"] = text
    insert = ArrowInserter(client)
    for one in made.inserts:
        await insert(one.table, one.columns, one.data, one.token)
    for names in (list(keys_of)[:12], list(keys_of)[12:]):
        columns = parse_columns([f"{section}.{key}" for section in ("config", "summary") for key in names])
        shown = ListedFields.of(columns, 3)
        assert shown is not None
        table = await read(RunTables(Storage(client)), project, CREATED_US, shown.fields, shown.sources)
        rows = table.rows(list(range(len(table))))
        documents = await load(Storage(client), project, table.runs.to_pylist(), columns=columns)
        loaded, _ = shown.load(table, list(range(len(table))))
        found = [make_run(project, row, loaded) for row in rows]
        assert found == [make_run(project, row, documents) for row in rows]
        assert sum(len(run.config) for run in found) == len(names) and not any(run.unreadable for run in found)
        assert [run.name for run in found if run.id == "run-001"] == ["123.0"]
        for key in set(names) & {"k0", "k4", "k5", "k6", "k21"}:
            source = Source(FIELDS_TABLE, key, "config", longest=LONGEST_IN_LIST)
            assert len(table.source(source).texts) <= 2, f"the text of {keys_of[key]}"


async def test_a_question_that_fails_half_way_leaves_nothing_wrong_behind(client: Any) -> None:
    project, runs = "main/held-fails", ManyRuns("held-fails", 10, seed=3)
    insert, storage = ArrowInserter(client), Counting(client)
    held = RunTables(storage)
    for number, one in enumerate(runs.inserts):
        await insert(one.table, one.columns, one.data, one.token)
        storage.fail = ["select_fields", "select_metrics", "runs", "select_definitions"][number % 4]
        with contextlib.suppress(StorageUnavailableError):
            await seen(held, project)
        storage.fail = ""
        assert await seen(held, project) == await seen(RunTables(Storage(client)), project)


async def test_a_question_that_ends_at_any_of_its_reads_leaves_nothing_wrong_behind(client: Any) -> None:
    """As one does whose client goes away: with new runs there are reads after those of the runs that were known."""
    project, runs = "main/held-ends", ManyRuns("held-ends", 16, seed=11)
    insert, storage = ArrowInserter(client), Counting(client)
    held, pick = RunTables(storage), random.Random(1)
    for one in runs.inserts:
        await insert(one.table, one.columns, one.data, one.token)
        storage.left = pick.randrange(1, 9)
        with contextlib.suppress(StorageUnavailableError):
            await seen(held, project)
        storage.left = -1
        assert await seen(held, project) == await seen(RunTables(Storage(client)), project)


async def test_many_ask_at_once_and_the_oldest_make_room(client: Any) -> None:
    insert = ArrowInserter(client)
    for name in ("held-a", "held-b"):
        for one in ManyRuns(name, 10, seed=2).inserts:
            await insert(one.table, one.columns, one.data, one.token)
    storage = Counting(client)
    once = RunTables(Storage(client))
    first = await seen(once, "main/held-a")
    held = RunTables(storage, max_bytes=int(1.5 * once.bytes))
    first, *others = await asyncio.gather(*(seen(held, "main/held-a") for _ in range(8)))
    assert all(other == first for other in others) and len(first) == 10
    read = storage.reads["all"]
    assert read <= 6, "read once for all"
    assert storage.looks <= 2, "who waited looked for changes again, which had been looked for since"
    await seen(held, "main/held-b")
    storage.reads.clear()
    await seen(held, "main/held-b")
    assert not storage.reads
    assert await seen(held, "main/held-a") == first
    assert storage.reads["all"], "it was kept beyond the limit"


async def test_a_project_that_is_too_large_alone_gives_up_columns_and_keeps_its_runs(client: Any) -> None:
    insert = ArrowInserter(client)
    for one in ManyRuns("held-large", 10, seed=6).inserts:
        await insert(one.table, one.columns, one.data, one.token)
    once = RunTables(Storage(client))
    table = await read(once, "main/held-large", CREATED_US, FIELDS, [METRIC])
    most = int(0.8 * once.bytes)
    held = RunTables(Storage(client), max_bytes=most)
    for _ in range(2):
        found = await read(held, "main/held-large", CREATED_US, FIELDS, [METRIC])
        assert held.size("main/held-large") == 10 and held.bytes <= most
        assert values(found) == values(table)


async def test_where_replicas_answer_everything_is_read_for_each_question(client: Any) -> None:
    insert, storage = ArrowInserter(client), Counting(client)
    for one in ManyRuns("held-replicas", 6, seed=4).inserts:
        await insert(one.table, one.columns, one.data, one.token)
    held = RunTables(storage, trusted=False)
    first = await seen(held, "main/held-replicas")
    storage.reads.clear()
    assert await seen(held, "main/held-replicas") == first
    assert storage.reads["all"] > 3


async def test_a_page_without_summary_fields_does_not_read_the_names_of_definitions(client: Any) -> None:
    project, runs = "main/held-names", ManyRuns("held-names", 6, seed=2)
    insert, storage = ArrowInserter(client), Counting(client)
    for one in runs.inserts:
        await insert(one.table, one.columns, one.data, one.token)
    held = RunTables(storage)
    await read(held, project, CREATED_US, [parse_field("created_at"), parse_field("config.lr")])
    assert not storage.asked["summary_keys"]
    await read(held, project, CREATED_US, [parse_field("summary.loss")])
    assert storage.asked["summary_keys"] == 1
