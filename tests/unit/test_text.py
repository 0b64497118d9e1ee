"""Texts and values that nothing may choke on: the rule of SDK and servers, and what a sender makes of records."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstream.base import text
from runstream.base.json_text import dumps
from runstream.runs.values import sort_values
from runstream.sender.batch import BatchBuilder
from runstream_common import text as servers
from runstream_proto.v1 import ingest_pb2 as pb
from runstream_proto.v1 import query_pb2

UMLAUT = b"Pr\xfcfung".decode("utf-8", "surrogateescape")
texts = st.text(st.characters(exclude_categories=()), max_size=20)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def nested(levels: int, leaf: Any = "x") -> Any:
    for _ in range(levels):
        leaf = [leaf]
    return leaf


@pytest.mark.parametrize(
    ("given_text", "kept"),
    [
        (UMLAUT, r"Pr\xfcfung"),
        ("a\ud800b", r"a\ud800b"),
        ("a\0b", r"a\x00b"),
        ("grün \U0001f600 \n\t", "grün \U0001f600 \n\t"),
        (r"C:\data", r"C:\data"),
    ],
)
def test_what_is_no_valid_text_is_replaced_visibly(given_text: str, kept: str) -> None:
    assert text.valid(given_text) == kept == servers.valid(given_text)
    assert json.loads(dumps({"a": given_text})) == {"a": kept}


def test_names_and_paths_are_made_usable_and_stay_two() -> None:
    assert text.valid_name(f"{UMLAUT}\n") == r"Pr\xfcfung\x0a"
    assert text.valid_path(f"a/{UMLAUT}\n\\b") == "a/Pr%FCfung%0A%5Cb"
    one, other = text.valid_name("ü" * 900 + "a"), text.valid_name("ü" * 900 + "b")
    assert one != other and max(len(name.encode()) for name in (one, other)) <= text.MAX_NAME_BYTES


@given(values)
def test_any_value_becomes_json_that_a_message_takes(value: Any) -> None:
    found = json.loads(dumps(value))
    found_again = json.loads(dumps(found))
    assert found == found_again, "the rule changes nothing twice"
    run = query_pb2.Run()
    run.config.update({"": found})
    assert query_pb2.Run.FromString(run.SerializeToString()) == run


@given(values)
def test_the_servers_have_the_same_rule(value: Any) -> None:
    assert json.dumps(servers.plain(value)) == json.dumps(text.plain(value))
    assert servers.MAX_DEPTH == text.MAX_DEPTH


@pytest.mark.parametrize("levels", [24, 25, 49, 500, 5000])
def test_what_is_too_deep_is_kept_as_its_text_from_there_on(levels: int, recwarn: pytest.WarningsRecorder) -> None:
    found = json.loads(dumps({"t": nested(levels)}))
    assert not text.is_deep(found)
    run = query_pb2.ListRunsResponse(runs=[query_pb2.Run()])
    run.runs[0].config.update(found)
    query_pb2.ListRunsResponse.FromString(run.SerializeToString())  # raises DecodeError beyond a hundred levels
    assert text.is_deep({"t": nested(levels)}) == (levels > 23)


@pytest.mark.parametrize("digits", [400, 5000])
def test_a_whole_number_beyond_all_doubles_is_kept_as_text(digits: int) -> None:
    for found in (json.loads(dumps({"n": 10**digits})), {"n": 10**digits}):
        found = servers.plain(found)
        query_pb2.Run().config.update(found)
        assert isinstance(found["n"], str) and (digits > 4300 or int(found["n"]) == 10**digits)


def test_a_value_that_holds_itself_ends() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert "..." in dumps(endless)


@given(st.text(max_size=40) | values.map(json.dumps))
def test_json_text_of_other_clients_is_read_whatever_it_is(given_text: str) -> None:
    value = servers.parsed(given_text)
    json.dumps(value, ensure_ascii=False).encode()
    servers.valid_json(given_text).encode()
    assert not text.is_deep(value)


def test_names_and_long_texts_in_log_are_kept_otherwise_and_said() -> None:
    found = sort_values({UMLAUT: 1.0, "a\nb": 2.0, "long": "ü" * (1 << 20), "x" * 2000: 3.0})
    assert set(found.scalars) >= {r"Pr\xfcfung", r"a\x0ab"} and len(found.scalars) == 3
    assert len(found.strings["long"].encode()) <= 1 << 20
    assert len(found.notes) == 4 and not found.problems


def build(*records: dict[str, Any] | bytes) -> list[tuple[pb.Batch, BatchBuilder]]:
    """The batches that a sender cuts of records."""
    made = []
    builder = BatchBuilder()
    for number, record in enumerate(records, 1):
        data = record if isinstance(record, bytes) else json.dumps(record).encode()
        if not builder.json(number, 1, data):
            made.append(builder)
            builder = BatchBuilder()
            assert builder.json(number, 1, data)
    made.append(builder)
    return [(pb.Batch.FromString(one.build(pb.RunPath(), "writer", 0)), one) for one in made]


def test_a_record_of_an_earlier_version_that_holds_surrogates_is_repaired_on_its_way() -> None:
    start = {"kind": "start", "value": {"environment": {"command": ["train.py", f"--data={UMLAUT}"]}}}
    [(batch, builder)] = build(start, {"kind": "text", "value": {"key": "a", "value": UMLAUT}})
    assert list(batch.records[0].start.environment.command) == ["train.py", r"--data=Pr\xfcfung"]
    assert batch.records[1].text.value == r"Pr\xfcfung" and builder.unreadable is None


@pytest.mark.parametrize(
    "bad",
    [
        b"no json",
        b"[" * 100_000,
        json.dumps({"kind": "text", "value": {"step": "many"}}).encode(),
        json.dumps({"kind": "text", "value": 5}).encode(),
        json.dumps(["kind"]).encode(),
        json.dumps({"kind": "text", "value": {"key": 1}, "contents": 7}).encode(),
    ],
)
def test_a_record_that_cannot_be_put_on_the_wire_goes_alone_and_its_siblings_whole(bad: bytes) -> None:
    good = {"kind": "text", "value": {"key": "a", "value": "words"}}
    batches = build(good, bad, good)
    assert [(batch.first_record, batch.last_record) for batch, _ in batches] == [(1, 1), (2, 2), (3, 3)]
    lost = batches[1][0].records[0]
    assert lost.loss.cause == pb.SpoolLoss.CAUSE_UNREADABLE and lost.number == 2
    unreadable = batches[1][1].unreadable
    assert unreadable is not None and unreadable.data == bad and unreadable.reason
    assert batches[0][1].unreadable is None and batches[2][1].unreadable is None


def test_of_a_start_record_what_can_be_sent_is_sent() -> None:
    [(batch, builder)] = build({"kind": "start", "value": {"name": "n", "pid": -5, "config_json": "{}", "tags": ["t"]}})
    start = batch.records[0].start
    assert (start.name, list(start.tags), start.config_json) == ("n", ["t"], "{}") and builder.unreadable is not None
