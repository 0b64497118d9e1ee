"""What `init()` says of a run that goes on: what was not given stays, changes by hand win over what is repeated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runstream.runs.initial_document import Document, Earlier, make_document
from runstream.settings import Settings

STORED = Earlier(
    exists=True,
    fields={"name": "stored", "tags": ["a"], "notes": "n", "group": "g"},
    config={"lr": 0.1, "model.depth": 3},
)


def made(earlier: Earlier, config: dict[str, Any] | None = None, **settings: Any) -> Document:
    return make_document(Settings(**settings), "r", config or {}, earlier)


def test_a_new_run_says_its_name_and_what_was_given() -> None:
    document = made(Earlier(), {"lr": 0.1}, notes="why")
    assert document.written == {"name": document.fields["name"], "notes": "why"}
    assert document.written_config(document.config) == {"lr": 0.1}


@pytest.mark.parametrize("exists", [True, None])
def test_what_was_not_given_is_not_written(exists: bool | None) -> None:
    document = made(Earlier(exists=exists))
    assert document.written == {} and document.written_config(document.config) == {}


def test_what_was_stored_is_there() -> None:
    document = made(STORED)
    assert document.fields == {"name": "stored", "notes": "n", "tags": ("a",), "group": "g", "job_type": ""}
    assert document.config == {"lr": 0.1, "model": {"depth": 3}}


def test_what_was_given_wins_over_what_was_stored() -> None:
    document = made(STORED, {"lr": 0.2, "new": 1}, name="given", tags=("b",), notes="")
    assert document.written == {"name": "given", "tags": ("b",), "notes": ""}
    assert document.emptied == ["notes"], "the start record leaves out what is empty"
    assert document.config == {"lr": 0.2, "new": 1, "model": {"depth": 3}}
    assert document.written_config(document.config) == {"lr": 0.2, "new": 1}


EDITED = Earlier(
    exists=True,
    fields={"name": "by hand", "tags": ["a", "hand"]},
    config={"lr": 0.5, "model.depth": 4, "model.width": 8},
    edited={
        "run.name": '"given"',
        "run.tags": '["a"]',
        "config.lr": "0.1",
        "config.model.depth": "3",
        "config.gone": "1",
    },
)


def test_a_change_by_hand_wins_over_what_is_only_repeated() -> None:
    again = {"lr": 0.1, "model": {"depth": 3, "width": 9}, "gone": 1}
    document = made(EDITED, again, name="given", tags=("a",))
    assert document.written == {}
    assert (document.fields["name"], document.fields["tags"]) == ("by hand", ("a", "hand"))
    assert document.config == {"lr": 0.5, "model": {"depth": 4, "width": 9}}
    assert document.written_config(document.config) == {"model": {"width": 9}}


def test_a_change_by_hand_loses_to_what_is_given_anew() -> None:
    document = made(EDITED, {"lr": 0.7, "gone": 2}, name="other")
    assert document.written == {"name": "other"}
    assert document.written_config(document.config) == {"lr": 0.7, "gone": 2}


def test_a_sweeps_parameter_wins_over_a_change_by_hand() -> None:
    document = make_document(Settings(), "r", {"lr": 0.1}, EDITED, {"lr": 0.1})
    assert document.config["lr"] == 0.1
    assert document.written_config({"lr": 0.1}) == {"lr": 0.1}


def test_given_objects_stay_objects_where_nothing_else_is_known_of_them() -> None:
    path = object()
    assert made(STORED, {"path": path}).config["path"] is path
    assert made(EDITED, {"model": {"depth": 3}}).config["model"] == {"depth": 4, "width": 8}


def test_a_key_with_a_dot_stays_one_key() -> None:
    document = make_document(Settings(), "r", {"opt.beta": 0.9, "model": {"depth": 1}}, Earlier(), {"a.b": 1})
    assert document.config == {"opt.beta": 0.9, "model": {"depth": 1}, "a.b": 1}


MASKED = Earlier(
    exists=True,
    config={"lr": 0.1, "db.password": "***", "db.url": "postgres://***@db", "hooks": ["https://***"]},
    edited={"config.db.password": '"***"'},
)


def test_a_masked_value_is_no_value() -> None:
    document = made(MASKED)
    assert document.config == {"lr": 0.1}
    assert set(document.unknown) == {"db.password", "db.url", "hooks"}
    assert document.written_config(document.config) == {}


def test_a_secret_that_is_given_again_is_there_and_not_taken_for_a_change() -> None:
    document = made(MASKED, {"db": {"password": "hunter2", "url": "postgres://a:b@db"}, "hooks": []})
    assert document.config["db"] == {"url": "postgres://a:b@db"}  # people set db.password; what they set is masked
    edited = replace(MASKED, config={**MASKED.config, "db.password": "by hand"})
    assert made(edited, {"db": {"password": "hunter2"}}).config["db"]["password"] == "by hand"
    unedited = replace(MASKED, edited={})
    again = made(unedited, {"db": {"password": "hunter2", "url": "postgres://a:b@db"}, "hooks": ["x"]})
    assert again.config["db"] == {"password": "hunter2", "url": "postgres://a:b@db"}
    assert again.unknown == ()
