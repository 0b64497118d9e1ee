"""The road that all other cases of this folder rest on."""

from __future__ import annotations

from runstream.api import Api
from tests.field.user import play, rows
from tests.support.stack import ServiceStack


def test_a_script_is_played_and_its_points_are_stored(stack: ServiceStack, project: str) -> None:
    script = "import runstream\nwith runstream.init(id='r') as run:\n    run.log({'loss': 0.5})\n"
    played = play(script)
    assert played.code == 0, played.err
    question = "SELECT value FROM points WHERE project = {project:String} AND run = 'r'"
    assert rows(stack, question, project=f"main/{project}") == [(0.5,)]
    assert [run.id for run in Api().runs(project)] == ["r"]
