"""The query service at its edges: every method over both transports, for those who may and those who may not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.error
import urllib.request
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass

from runstream_common.clickhouse.client import connect
from runstream_control.control_store import ControlStore, Resume
from runstream_control.saved import SavedStore
from runstream_proto.v1 import query_pb2 as pb
from runstream_proto.v1 import query_pb2_grpc as rpc
from runstream_query.base.errors import InvalidRequestError
from runstream_query.base.paging import fingerprint, make_token, read_token
from runstream_query.base.storage import sql, sql_files
from tests.support.stack import ServiceStack

METHODS = tuple(pb.DESCRIPTOR.services_by_name["QueryService"].methods)
HOSTILE = {
    "SQL": "\\'`points`\"'; DROP TABLE points; -- /* main' OR '1'='1 {project:String}",
    "NUL": "a\0b",
    "long": "x" * 100_000,
    "marks": "../../etc/passwd\u202eright-to-left<script>alert(1)</script>",
}
"""Each in every field: whatever quote, comment or placeholder were not taken as text would break the statement."""


def call(stack: ServiceStack, method: str, body: Any, key: str | None) -> tuple[int, dict[str, Any]]:
    """Over HTTP: status and JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{stack.address('http')}/api/v1/{method}", data)
    if key is not None:
        request.add_header("authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            if response.headers["content-type"].startswith("text/event-stream"):
                return response.status, first_event(response)
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def first_event(response: Any) -> dict[str, Any]:
    """The data of the first server-sent event; some streams end with their caller alone."""
    for line in response:
        if line.startswith(b"data: "):
            return dict(json.loads(line.removeprefix(b"data: ")))
    raise AssertionError("the stream ended without an event")


@pytest.fixture(scope="module")
def seeded(embedded: ServiceStack) -> ServiceStack:
    """A project of team main with one run, made by the real SDK."""
    import subprocess
    import sys
    from pathlib import Path

    from tests.support.stack import clean_environment

    logger = Path(__file__).parents[1] / "e2e" / "log_points.py"
    environment = {**clean_environment(), **embedded.sdk_environment(embedded.folder / "seed-spool")}
    subprocess.run(
        [sys.executable, str(logger), "0", "1", "5", "50", "seeded", "rich"], env=environment, check=True, timeout=60
    )
    asyncio.run(_copy_run(embedded))
    return embedded


REPORT = "the-seeded-report"
COPIES = [f"copy-{number}" for number in range(6)]


async def _copy_run(stack: ServiceStack) -> None:
    """The seeded run several times over in a project of their own, for what is asked about many runs."""
    client = await connect(stack.clickhouse.config)
    store = ControlStore.open(stack.control_url)
    who = await store.authenticate(stack.key)
    for number, run in enumerate(COPIES):
        await store.bind_stream(
            who, team="", project="copies", run=run, writer_id=f"writer-{run}", rank=0, resume=Resume.ALLOW
        )
        for table in ("points", "series", "streams", "run_fields"):
            value = f"value + {number} AS value" if table == "points" else "''"
            change = f"REPLACE ({value})" if table == "points" else ""
            await client.command(
                f"INSERT INTO {table} SELECT * REPLACE ('main/copies' AS project, '{run}' AS run) "
                f"FROM (SELECT * {change} FROM {table} WHERE project = 'main/million' AND run = 'seeded')"
            )
        await client.command(
            "INSERT INTO run_fields (project, run, section, key, value, version, run_month) "
            f"SELECT 'main/copies', '{run}', 'config', 'lr', '0.{number + 1}', 1, toStartOfMonth(now())"
        )
    await SavedStore.beside(store).create(
        who, team="main", project="million", kind="report", name="seeded", content="", shared=True, id=REPORT
    )
    await client.close()
    await store.close()


def question(method: str, project: str = "million", team: str = "main") -> dict[str, Any]:
    """A request that the owner is answered."""
    fields = {field.name for field in next(m for m in METHODS if m.name == method).input_type.fields}
    known = {
        "team": team,
        "project": project,
        "run": "seeded",
        "runs": ["seeded"],
        "metrics": ["group/metric-00"],
        "metric": "group/metric-00",
        "sql": "SELECT DISTINCT run FROM points_now",
        "table": 1,
        "key": {"GetHistograms": "weights", "GetTable": "table", "GetPlot": "matrix"}.get(method, ""),
        "keys": ["note"],
        "id": REPORT,
    }
    known |= OWN_FIELDS.get(method, {})
    return {name: value for name, value in known.items() if name in fields}


_OBJECTIVE = {"metric": "group/metric-00"}
OWN_FIELDS: dict[str, dict[str, Any]] = {
    "CompareRuns": {"project": "copies", "runs": COPIES},
    "GetImportance": {"project": "copies", "objective": {**_OBJECTIVE, "aggregate": "AGGREGATE_MAX"}},
    "GetParetoFront": {"objectives": [_OBJECTIVE, {**_OBJECTIVE, "goal": "GOAL_MAXIMIZE"}]},
    "UpdateRuns": {"notes": "tested"},
    "UpdateProject": {"description": "what it is"},
    "CreateSaved": {"kind": "SAVED_KIND_REPORT", "name": "a report", "id": ""},
    "UpdateSaved": {"overwrite": True, "content": "# Text"},
    "GetParallelCoordinates": {"axes": ["config.lr", "summary.group/metric-00"]},
}
"""What a method needs beside the fields that all have."""


@pytest.mark.parametrize("method", [m.name for m in METHODS if not m.name.startswith(("Delete", "Set"))])
def test_the_owner_is_answered_over_both_transports(seeded: ServiceStack, method: str) -> None:
    status, answer = call(seeded, method, question(method), seeded.key)
    assert status == 200, answer
    descriptor = next(found for found in METHODS if found.name == method)
    with grpc.insecure_channel(seeded.address("grpc")) as channel:
        request = GetMessageClass(descriptor.input_type)(**question(method))
        response = getattr(rpc.QueryServiceStub(channel), method)(
            request, metadata=(("authorization", f"Bearer {seeded.key}"),), timeout=20
        )
        if descriptor.server_streaming:
            response = next(iter(response))
    assert (
        response.DESCRIPTOR is descriptor.output_type
        or response.DESCRIPTOR.full_name == descriptor.output_type.full_name
    )


@pytest.mark.parametrize("method", [method.name for method in METHODS])
@pytest.mark.parametrize("key", [None, "", "rs_000000000000_" + "x" * 43, "'; DROP TABLE api_keys; --"])
def test_without_a_valid_key_nothing_is_answered(seeded: ServiceStack, method: str, key: str | None) -> None:
    status, answer = call(seeded, method, question(method), key)
    assert (status, answer["error"]["code"]) == (401, "UNAUTHENTICATED")
    metadata = (("authorization", f"Bearer {key}"),) if key is not None else ()
    descriptor = next(found for found in METHODS if found.name == method)
    with grpc.insecure_channel(seeded.address("grpc")) as channel, pytest.raises(grpc.RpcError) as caught:
        request = GetMessageClass(descriptor.input_type)(**question(method))
        answer = getattr(rpc.QueryServiceStub(channel), method)(request, metadata=metadata, timeout=20)
        if descriptor.server_streaming:
            next(iter(answer))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("method", [m.name for m in METHODS if m.name != "WhoAmI"])
def test_a_key_of_another_team_sees_nothing(seeded: ServiceStack, method: str) -> None:
    async def make() -> str:
        store = ControlStore.open(seeded.control_url)
        try:
            return str(await store.create_api_key("eve", "rivals"))
        finally:
            await store.close()

    key = asyncio.run(make())
    for body in (question(method), question(method, team="")):
        if method == "ListProjects" and not body["team"]:
            assert call(seeded, method, body, key)[1] == {"projects": []}
            continue
        if method == "RunSql" and not body["team"]:
            assert "seeded" not in json.dumps(call(seeded, method, body, key)[1]["rows"])
            continue
        status, answer = call(seeded, method, body, key)
        assert status == 404, answer
        assert "seeded" not in json.dumps(answer) and "metric-00" not in json.dumps(answer)
    status, other = call(seeded, method, question(method, team="no-such-team"), key)
    assert status == 404, "a team that one may not read is as unknown as one that is not there"
    assert other["error"]["code"] == "NOT_FOUND"


def test_answers_come_as_protobuf_where_it_is_asked_for_and_errors_stay_json(seeded: ServiceStack) -> None:
    def ask(change: dict[str, Any]) -> tuple[str, bytes]:
        data = json.dumps({**question("GetCurves"), **change}).encode()
        request = urllib.request.Request(f"http://{seeded.address('http')}/api/v1/GetCurves", data)
        request.add_header("authorization", f"Bearer {seeded.key}")
        request.add_header("accept", "application/x-protobuf")
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.headers["content-type"], response.read()
        except urllib.error.HTTPError as error:
            return error.headers["content-type"], error.read()

    _, plain = call(seeded, "GetCurves", question("GetCurves"), seeded.key)
    kind, body = ask({})
    assert kind == "application/x-protobuf" and body
    whole = pb.GetCurvesResponse.FromString(body)
    assert str(whole) == str(json_format.ParseDict(plain, pb.GetCurvesResponse()))  # as text: NaN is like NaN
    part = pb.GetCurvesResponse.FromString(ask({"columns": ["means", "first_steps"]})[1])
    for curve in whole.curves:
        for field in curve.DESCRIPTOR.fields:
            if field.is_repeated and field.name not in ("means", "first_steps"):
                curve.ClearField(field.name)
    assert str(part) == str(whole) and part.curves[0].means
    kind, body = ask({"project": "milion"})
    assert kind == "application/json" and json.loads(body)["error"]["code"] == "NOT_FOUND"


@pytest.mark.parametrize("method", [method.name for method in METHODS])
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_in_any_field_is_only_text(seeded: ServiceStack, method: str, value: str) -> None:
    descriptor = next(found for found in METHODS if found.name == method)
    for field in descriptor.input_type.fields:
        if field.cpp_type != field.CPPTYPE_STRING:
            continue
        body = {**question(method), field.name: [value] if field.is_repeated else value}
        status, answer = call(seeded, method, body, seeded.key)
        assert status in (200, 400, 404), (field.name, answer)
        assert "DB::Exception" not in json.dumps(answer)
    assert call(seeded, "GetRun", question("GetRun"), seeded.key)[0] == 200


@pytest.mark.parametrize(
    ("method", "change", "status", "words"),
    [
        ("GetHistory", {"metrics": ["group/metric-0"]}, 404, "near it: group/metric-0"),
        ("GetHistory", {"run": "seedet"}, 404, "near it: seeded"),
        ("GetHistory", {"project": "milion"}, 404, "near it: million"),
        ("GetHistory", {"metrics": []}, 400, "metrics: give 1 to 1000"),
        ("GetHistory", {"metrics": [f"m{n}" for n in range(1001)]}, 400, "metrics: give 1 to 1000"),
        ("GetHistory", {"min_step": 10, "max_step": 3}, 400, "swap them"),
        ("GetHistory", {"page_size": 2_000_000}, 400, "at most 1000000"),
        ("GetHistory", {"page_token": "bm8="}, 400, "page_token"),
        ("GetHistory", {"page_token": "\xff"}, 400, "page_token"),
        ("GetCurves", {"buckets": 1_000_000}, 400, "at most 10000"),
        ("GetCurves", {"buckets": -1}, 400, "does not fit"),
        ("GetCurves", {"columns": ["mean"]}, 400, "columns: there is no mean; there are counts, first_steps"),
        ("GetCurves", {"runs": [f"r{n}" for n in range(101)]}, 400, "runs: give 1 to 100"),
        ("RankRuns", {"metric": ""}, 400, "metric is empty"),
        ("RankRuns", {"metric": "nope"}, 404, "no run of main/million has the metric 'nope'"),
        ("RankRuns", {"aggregate": "AGGREGATE_MEDIAN"}, 400, "does not fit"),
        ("ListRuns", {"page_size": 5000}, 400, "at most 1000"),
        ("ListRuns", {"filter": "{"}, 400, "filter is not valid JSON"),
        ("ListRuns", {"filter": "[1]"}, 400, "give an object"),
        ("ListRuns", {"filter": '{"stat": 1}'}, 400, "near it: state"),
        ("ListRuns", {"filter": '{"state": {"$like": "x"}}'}, 400, "no operator '$like'"),
        ("ListRuns", {"filter": '{"$xor": []}'}, 400, "the operator '$xor' cannot be used"),
        ("ListRuns", {"filter": '{"$or": []}'}, 400, "needs a list"),
        ("ListRuns", {"filter": '{"config.lr": {"$gt": true}}'}, 400, "with a number or a text"),
        ("ListRuns", {"filter": '{"config.model": {"depth": 3}}'}, 400, "dotted keys"),
        ("ListRuns", {"filter": '{"created_at": {"$gt": "yesterday"}}'}, 400, "ISO 8601"),
        ("ListRuns", {"filter": '{"name": {"$regex": "("}}'}, 400, "does not compile"),
        ("ListRuns", {"filter": '{"name": {"$regex": "(((a{100}){100}){100}){100}"}}'}, 400, "does not compile"),
        ("ListRuns", {"filter": '{"name": {"$regex": "' + "a" * 600 + '"}}'}, 400, "at most 512"),
        ("ListRuns", {"filter": '{"$not":' * 20 + "{}" + "}" * 20}, 400, "at most 16 levels"),
        ("ListRuns", {"filter": json.dumps({"$or": [{"config.a": n} for n in range(300)]})}, 400, "at most 256"),
        ("ListRuns", {"filter": json.dumps({f"config.k{n}": n for n in range(70)})}, 400, "at most 64"),
        ("ListRuns", {"filter": "x" * 70_000}, 400, "65536"),
        ("ListRuns", {"order": ["loss"]}, 400, "no field 'loss'"),
        ("ListRuns", {"order": [f"config.{n}" for n in range(9)]}, 400, "at most 8"),
        ("ListRuns", {"fields": ["config."]}, 400, "no field 'config.'"),
        ("ListRuns", {"page_token": "bm8="}, 400, "page_token"),
        ("CountRuns", {"by": ["state"] * 2}, 400, "each field once"),
        ("CountRuns", {"by": [f"config.{n}" for n in range(5)]}, 400, "at most 4"),
        ("ListMetrics", {"regex": "["}, 400, "does not compile"),
        ("ListMetrics", {"regex": "a", "glob": "b"}, 400, "not both"),
        ("ListMetrics", {"run": "seedet"}, 404, "near it: seeded"),
        ("ListFields", {"regex": "(?=x)"}, 400, "does not compile"),
        ("RankRuns", {"at": "nope"}, 404, "has the metric 'nope'"),
        ("RankRuns", {"at": "a", "aggregate": "AGGREGATE_MIN"}, 400, "not both"),
        ("RankRuns", {"limit": 1001}, 400, "limit is 1001: at most 1000"),
        ("GetParetoFront", {"objectives": [{"metric": "a"}]}, 400, "give 2 to 8, not 1"),
        ("GetParetoFront", {"objectives": [{"metric": "a"}, {"metric": "group/metric-00"}]}, 404, "the metric 'a'"),
        ("GetImportance", {"objective": {"metric": "nope"}}, 404, "the metric 'nope'"),
        ("GetImportance", {"project": "million"}, 400, "importance needs 4"),
        ("GetParallelCoordinates", {"axes": []}, 400, "name at least one field"),
        ("CompareRuns", {"runs": ["copy-0"]}, 400, "give 2 to 20"),
        ("CompareRuns", {"runs": ["copy-0", "copy-x"]}, 404, "near it: copy-"),
        ("UpdateRuns", {"runs": ["seedet"]}, 404, "near it: seeded"),
        ("UpdateRuns", {"runs": []}, 400, "0 runs: name 1 to 1000"),
        ("UpdateRuns", {"notes": None}, 400, "nothing to change"),
        ("UpdateRuns", {"add_tags": [f"t{n}" for n in range(65)]}, 400, "at most 64 tags"),
        ("UpdateRuns", {"add_tags": ["two\nlines"]}, 400, "one line of at most 128"),
        ("UpdateRuns", {"name": ""}, 400, "of 1 character at least"),
        ("UpdateRuns", {"name": "x", "runs": ["seeded", "other"]}, 400, "one run at a time"),
        ("UpdateRuns", {"notes": "x" * 70_000}, 400, "notes: a text of at most 65536"),
        ("UpdateRuns", {"config": {"a": "x" * 300_000}}, 400, "config: at most 262144 bytes"),
        ("UpdateRuns", {"config": {f"k{n}": n for n in range(1001)}}, 400, "1001 keys; at most 1000"),
        ("UpdateRuns", {"config": {"a": 1}, "remove_config": ["a"]}, 400, "choose one"),
        ("UpdateProject", {"description": "x" * 20_000}, 400, "at most 16384"),
        ("CreateSaved", {"kind": 0}, 400, "SAVED_KIND_CHARTS"),
        ("CreateSaved", {"name": " "}, 400, "give one of 1 to 128"),
        ("CreateSaved", {"id": "../etc"}, 400, "8 to 32 letters"),
        ("CreateSaved", {"content": "x" * 300_000}, 400, "at most 262144"),
        ("CreateSaved", {"kind": "SAVED_KIND_TABLE", "content": "x" * 20_000}, 400, "at most 16384"),
        ("CreateSaved", {"kind": "SAVED_KIND_TABLE", "content": "a=<b>"}, 400, "the query of its URL"),
        ("UpdateSaved", {"version": 1}, 400, "not both"),
        ("UpdateSaved", {"overwrite": False, "version": 1000}, 409, "in the meantime"),
        ("GetSaved", {"id": "no-such-one"}, 404, "no view or report 'no-such-one'"),
        ("ListRuns", {"no_such_field": 1}, 400, "fields: team, project"),
        ("ListRuns", {"project": {"a": 1}}, 400, "does not fit"),
    ],
)
def test_bad_questions_are_told_what_to_do(
    seeded: ServiceStack, method: str, change: dict[str, Any], status: int, words: str
) -> None:
    got, answer = call(seeded, method, {**question(method), **change}, seeded.key)
    assert got == status, answer
    assert words in answer["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"\xff\xfe", b'{"a":' * 50 + b"1" + b"}" * 50, b"[" * 100_000, b'{"project":"' + b"x" * (2 << 20)],
)
def test_bodies_that_are_no_question_are_400(seeded: ServiceStack, body: bytes) -> None:
    assert call(seeded, "ListRuns", body, seeded.key)[0] == 400


def test_bytes_that_are_no_question_are_the_clients_fault(seeded: ServiceStack) -> None:
    with grpc.insecure_channel(seeded.address("grpc")) as channel:
        ask = channel.unary_unary("/runstream.v1.QueryService/GetRun")
        with pytest.raises(grpc.RpcError, match="the request cannot be read") as refused:
            ask(b"\xff", metadata=(("authorization", f"Bearer {seeded.key}"),))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "Traceback" not in (seeded.folder / "query.log").read_text()


def test_an_empty_range_is_an_empty_answer(seeded: ServiceStack) -> None:
    status, answer = call(seeded, "GetHistory", {**question("GetHistory"), "min_step": 5000}, seeded.key)
    assert (status, answer["series"]) == (200, [])


def test_the_run_is_described(seeded: ServiceStack) -> None:
    status, run = call(seeded, "GetRun", question("GetRun"), seeded.key)
    assert status == 200
    assert (run["state"], run["user"], run["world_size"]) == ("RUN_STATE_FINISHED", "tester", 1)
    assert run["completeness"]["verdict"] == "VERDICT_COMPLETE"
    assert run["completeness"]["points_stored"] == "250"
    assert run["environment"]["variables"]["RUNSTREAM_API_KEY"] == "***"
    assert seeded.key not in json.dumps(run)


@pytest.mark.parametrize("search", ["seed", "SEED", ""])
def test_runs_are_found_by_part_of_their_name(seeded: ServiceStack, search: str) -> None:
    _, answer = call(seeded, "ListRuns", {"project": "million", "search": search}, seeded.key)
    assert [run["id"] for run in answer["runs"]] == ["seeded"]
    for fields in ([], ["none"]):
        nothing = {"project": "million", "search": "zzz", "fields": fields}
        assert call(seeded, "ListRuns", nothing, seeded.key)[1]["runs"] == []
    assert call(seeded, "ListRuns", {"project": "million", "state": "RUN_STATE_FAILED"}, seeded.key)[1]["runs"] == []


def test_a_page_token_belongs_to_its_question() -> None:
    first = pb.GetHistoryRequest(project="p", run="a", metrics=["m"], page_size=10)
    token = make_token(first, ["m", 0, 5])
    again = pb.GetHistoryRequest(project="p", run="a", metrics=["m"], page_size=99, page_token=token)
    assert fingerprint(first) == fingerprint(again)
    assert read_token(again, (str, int, int)) == ["m", 0, 5]
    other = pb.GetHistoryRequest(project="p", run="b", metrics=["m"], page_token=token)
    with pytest.raises(InvalidRequestError):
        read_token(other, (str, int, int))


_OF_ALL = {"all_runs", "listening", "tables_with_parts"}
"""Questions about the whole database."""


async def test_every_sql_file_is_understood_by_the_engine(embedded: ServiceStack) -> None:
    values: dict[str, Any] = {
        "Array(String)": ["x"],
        "Array(UInt32)": [1],
        "String": "x",
        "Int64": 1,
        "UInt32": 1,
        "UInt8": 1,
        "UInt16": 16,
        "UInt64": 1,
        "Date": "2026-11-01",
        "Array(Int64)": [1],
        "Array(UInt16)": [1],
        "Array(UInt64)": [1],
        "Array(Array(Int64))": [[1]],
        "Array(Tuple(String, UInt32))": [("x", 1)],
        "Array(Tuple(String, Int64))": [("x", 1)],
    }
    import re

    files = sorted(sql_files().values())
    assert len(files) >= 10
    async with contextlib.AsyncExitStack() as held:
        client = await connect(embedded.clickhouse.config)
        held.push_async_callback(client.close)
        for path in files:
            text = sql(path.stem)
            parameters = {name: values[kind] for name, kind in re.findall(r"\{(\w+):([^}]+)\}", text)}
            inserted = text.find("INSERT INTO") >= 0
            text = f"EXPLAIN {text[text.index('SELECT') :] if inserted else text}"
            if "DELETE FROM" in text:
                text = text.replace("EXPLAIN", "EXPLAIN AST", 1)
            assert parameters or path.stem in _OF_ALL, f"{path.name} takes no parameters"
            await client.query(text, parameters=parameters, settings={"prefer_column_name_to_alias": 1})
