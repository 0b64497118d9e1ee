"""Text that is no valid Unicode, from a file name, an argument, another client: kept visibly, fatal to nobody."""

from __future__ import annotations

import json
import os
from pathlib import Path

from runstream.api import Api
from runstream.api.convert import plain
from tests.field.user import command, play, rows
from tests.field.wire import Client, rejected
from tests.support.stack import ServiceStack

UMLAUT = b"Pr\xfcfung"
SURROGATE = r"Pr\udcfcfung"
"""As JSON and Python source write it."""


def test_an_argument_that_is_no_utf8_keeps_no_run_from_the_server(project: str) -> None:
    script = "import runstream\nwith runstream.init(id='r') as run:\n    run.log({'loss': 1.0})\n"
    played = play(script, b"--data=/d/Pr\xfcfung.csv")
    assert played.code == 0, played.err
    run = Api().run(f"{project}/r")
    assert run.completeness["verdict"] == "complete"
    assert plain(run.message.environment)["command"][-1] == r"--data=/d/Pr\xfcfung.csv"


def test_every_text_that_leaves_the_process_is_kept_visibly(project: str, tmp_path: Path) -> None:
    name = os.fsencode(tmp_path / "files") + b"/" + UMLAUT
    (tmp_path / "files").mkdir()
    Path(os.fsdecode(name + b".txt")).write_text("words")
    script = f"""
import os, runstream
from PIL import Image
bad = {UMLAUT!r}.decode("utf-8", "surrogateescape")
os.environ["RAY_PLACE"] = bad
path = os.fsdecode({name!r})
Image.new("RGB", (4, 4)).save(path + ".png")
run = runstream.init(id="r", name=bad, notes=bad + "\\0", tags=[bad], group=bad, job_type=bad,
                     config={{bad: bad, "nested": {{bad: [bad]}}}})
run.log({{"loss": 1.0}})
run.log({{bad: 2.0, "text": bad}})
run.log({{"table": runstream.Table(columns=[bad, "n"], data=[[bad, 1]])}})
run.log({{"image": runstream.Image(path + ".png", caption=bad)}})
run.alert(bad, bad)
run.define_metric(bad, summary="max")
run.summary[bad] = bad
run.save(path + ".txt")
assert run.finish()
"""
    played = play(script)
    assert played.code == 0, played.err
    kept = r"Pr\xfcfung"
    run = Api().run(f"{project}/r")
    assert (run.name, run.notes, run.tags, run.group, run.job_type) == (kept, kept + r"\x00", [kept], kept, kept)
    assert run.config == {kept: kept, f"nested.{kept}": [kept]} and run.summary[kept] == kept
    assert plain(run.message.environment)["variables"]["RAY_PLACE"] == kept
    assert run.completeness["verdict"] == "complete"
    assert {(alert["title"], alert["text"]) for alert in run.alerts()} == {(kept, kept)}
    assert [file.name for file in run.files()] == ["Pr%FCfung.txt"]
    assert {row["loss"] for row in run.scan_history(keys=["loss"])} == {1.0}
    assert run.table("table").columns == [kept, "n"]


HOSTILE = {
    "byte": f'"{SURROGATE}"',
    "half a pair": r'"\ud800"',
    "NUL": r'"\u0000"',
    "nested": r'{"a": {"\udcfc": ["\udcfc"]}}',
    "deep": "[" * 500 + "]" * 500,
    "no JSON": "[" * 99,
    "NaN": "NaN",
}


def test_what_another_client_sends_stops_nobody(stack: ServiceStack, project: str) -> None:
    for name, value in HOSTILE.items():
        client = Client(stack, project, name.replace(" ", "-"))
        batch = client.batch(
            {"start": {"world_size": 1, "config_json": f'{{"value": {value}}}', "environment": {}}},
            {"field": {"section": "SECTION_SUMMARY", "key": "value", "value_json": value}},
            {"table": {"key": "table", "columns": ["a"], "rows": 1, "rows_json": f"[[{value}]]", "plot_json": value}},
        )
        assert client.send(batch) == "", name
    played = play("import runstream\nwith runstream.init(id='mine') as run:\n    run.log({'loss': 1.0})\n")
    assert played.code == 0, played.err
    assert Api().run(f"{project}/mine").completeness["verdict"] == "complete"
    found = {run.id: run for run in Api().runs(project)}
    assert found.keys() == {"mine", *(name.replace(" ", "-") for name in HOSTILE)}
    for run in found.values():
        whole = Api().run(f"{project}/{run.id}")
        assert run.id == "mine" or (whole.config == run.config != {} and whole.summary), run.id


POISONED = """
import runstream
run = runstream.init(id="r")
run.log({"loss": 1.0})
run._recorder.stream.writer.append_json('{"kind": "text", "value": {"key": "a", "step": "many"}}')
run.log({"loss": 2.0})
run.finish()
"""


def test_a_record_that_cannot_be_sent_is_kept_and_said_and_the_rest_is_stored(project: str, spool: Path) -> None:
    played = play(POISONED, RUNSTREAM_SILENT="false")
    assert played.code == 0 and "could not be stored" in played.err, played.err
    completeness = Api().run(f"{project}/r").completeness
    assert (completeness["verdict"], completeness["points_stored"]) == ("incomplete", 2)
    assert [(gap["first"], gap["last"]) for gap in completeness["missing"]] == [(3, 3)]
    assert [name.partition("-")[2] for name in rejected(spool)] == ["record-3.json", "record-3.record"]
    listed = command("spool", "rejected")
    assert "record-3.record  r  " in listed.out and "cannot be put on the wire: ParseError" in listed.out


def test_a_stream_is_seen_set_aside_and_given_back(project: str, spool: Path) -> None:
    script = "import runstream\nwith runstream.init(id='r', mode='offline') as run:\n    run.log({'loss': 1.0})\n"
    assert play(script).code == 0
    listed = command("spool", "list")
    assert f"{project}/r rank 0  process ended" in listed.out
    name = listed.out.split()[0]
    assert "set aside" in command("spool", "set-aside", name).out
    assert command("sync").out == "runstream sync: nothing waits\n"
    assert command("spool", "list").out.strip().endswith("set aside")
    assert command("spool", "set-aside", "../streams").code == 1
    assert command("spool", "restore", name).code == 0
    assert command("sync").code == 0
    assert Api().run(f"{project}/r").completeness["verdict"] == "complete"


def test_documents_that_an_earlier_version_stored_are_readable_and_deletable(stack: ServiceStack, project: str) -> None:
    played = play("import runstream\nwith runstream.init(id='r') as run:\n    run.log({'loss': 1.0})\n")
    assert played.code == 0, played.err
    deep = json.dumps({"x": 1})
    for _ in range(60):
        deep = f"[{deep}]"
    rows(
        stack,
        "INSERT INTO run_fields SELECT {project:String}, 'r', 'config', 'deep', {value:String}, 0, now64(6), 1, "
        "toDate('2026-11-01')",
        project=f"main/{project}",
        value=deep,
    )
    assert [run.id for run in Api().runs(project)] == ["r"]
    run = Api().run(f"{project}/r")
    assert str(run.config["deep"]).count("[") >= 60
    assert command("delete", f"{project}/r", "--yes").code == 0
    assert not list(Api().runs(project))
