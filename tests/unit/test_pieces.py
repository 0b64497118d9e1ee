"""Large documents as the records that are written for them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runstream.runs import document_pieces as pieces
from runstream.runs.document_pieces import records_of
from runstream_query.runs.large_values import LargeValue


def field(value: Any, key: str = "k") -> dict[str, Any]:
    return {"section": "SECTION_CONFIG", "key": key, "value_json": json.dumps(value, ensure_ascii=False)}


def together(records: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """What the query service makes of fields."""
    parts = {one["key"]: one["value_json"] for _, one in records if one.get("section") == "SECTION_PIECE"}
    found = {}
    for _, one in records:
        if one.get("section") != "SECTION_CONFIG":
            continue
        value = json.loads(one["value_json"])
        if (large := LargeValue.of("config", one["key"], value)) is not None:
            prefix = f"config\x1f{one['key']}\x1f{large.digest}\x1f"
            texts = [parts[name] for name in sorted(parts) if name.startswith(prefix)]
            assert len(texts) == large.pieces and sum(len(text.encode()) for text in texts) == large.size_bytes
            value = json.loads("".join(texts))
        found[one["key"]] = value
    return found


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", 100)
    monkeypatch.setattr(pieces, "START_BYTES", 400)
    monkeypatch.setattr(pieces, "_SMALL_BYTES", 40)


@pytest.mark.parametrize(
    "value", ["x" * 98, "x" * 99, "ü" * 1000, "\U0001f600" * 333, [1] * 500, ["a\u001f"] * 99, None]
)
def test_a_value_in_pieces_comes_together_between_characters(value: Any) -> None:
    records = records_of("field", field(value))
    assert together(records) == {"k": value}
    assert all(len(one["value_json"].encode()) <= 100 for _, one in records)
    assert (len(records) == 1) == (len(json.dumps(value, ensure_ascii=False).encode()) <= 100)


def test_a_large_object_becomes_dotted_keys_as_the_server_makes_them() -> None:
    value = {"a": {"b": "x" * 90, "c": 1}, "d": "y" * 200}
    assert together(records_of("field", field(value))) == {"k.a.b": "x" * 90, "k.a.c": 1, "k.d": "y" * 200}


def test_a_value_beyond_the_limit_is_named_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "MAX_DOCUMENT_BYTES", 500)
    with pytest.warns(UserWarning, match="'k' has 602 bytes"):
        records = records_of("field", field("x" * 600))
    assert together(records) == {"k": "(left out: 602 bytes, more than 500)"}


def test_a_start_record_keeps_what_is_small_and_its_rest_follows() -> None:
    config = {"lr": 0.1, "text": "x" * 500, **{f"k{n}": n for n in range(50)}}
    start = {
        "name": "n" * 5000,
        "notes": "w" * 300,
        "tags": ["t"],
        "config_json": json.dumps(config),
        "environment": {},
    }
    (kind, first), *rest = records_of("start", start)
    assert kind == "start" and len(first["name"].encode()) <= 1024 and first["tags"] == ["t"] and first["notes"] == ""
    assert {**json.loads(first["config_json"]), **together(rest)} == config
    assert len(first["config_json"]) < 200
    assert [one["key"] for _, one in rest if one["section"] == "SECTION_RUN"] == ["notes"]


def test_an_environment_that_is_too_large_keeps_its_small_parts() -> None:
    start = {"environment": {"python": "3.11", "command": ["x" * 1000]}}
    with pytest.warns(UserWarning, match="environment"):
        [(_, first)] = records_of("start", start)
    assert first["environment"] == {"python": "3.11"}


def test_small_documents_are_written_as_they_are() -> None:
    for kind, value in (("start", {"world_size": 1, "helper": True}), ("field", field(1)), ("text", {"key": "a"})):
        assert records_of(kind, value) == [(kind, value)]


@pytest.mark.parametrize("value", ["\x1epieces", "\x1epieces a b c", "\x1epieces a 1", "\x1epieces a -1 5", 5, "words"])
def test_what_only_looks_like_a_mark_is_a_text(value: object) -> None:
    assert LargeValue.of("config", "k", value) is None
