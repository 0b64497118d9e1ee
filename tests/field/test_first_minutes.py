"""What people meet before they know the product: wrong keys, wrong addresses, a proxy, somebody else's folder."""

from __future__ import annotations

import os
from pathlib import Path

from tests.field.user import command, play
from tests.support.processes import free_port
from tests.support.stack import ServiceStack

SCRIPT = """
import runstream
run = runstream.init(id="r")
run.log({"loss": 0.5})
run.finish(timeout=20)
"""
ALOUD = {"RUNSTREAM_SILENT": "false"}
AS_NOBODY = """
import os, sys
import runstream.cli, runstream.cli.sync, asyncio.selector_events, encodings.idna
os.setgid(65534); os.setuid(65534)
sys.exit(runstream.cli.main(sys.argv[1:]))
"""


def test_init_says_first_where_the_run_is_looked_at(stack: ServiceStack, project: str) -> None:
    said = play(SCRIPT, **ALOUD).err.splitlines()
    address = f"http://{stack.address('http')}/-/{project}/runs/r"
    assert address in said[0] and said[-1].endswith(f"1 point stored; {address}"), said


def test_a_malformed_key_ends_no_training_and_is_named(project: str) -> None:
    played = play(SCRIPT.replace("20", "0"), RUNSTREAM_API_KEY="wandb-key", **ALOUD)
    assert played.code == 0 and played.err.startswith("runstream: this is no runstream API key"), played.err
    played = play(SCRIPT, RUNSTREAM_API_KEY="wandb-key", RUNSTREAM_STRICT="true")
    assert played.code == 1 and "UsageError: this is no runstream API key" in played.err


def test_a_page_that_is_not_there_is_no_link(stack: ServiceStack, project: str) -> None:
    for port, problem in ((free_port(), "does not answer"), (stack.ports["gateway_ops"], "is no runstream server")):
        page = f"http://127.0.0.1:{port}"
        said = play(SCRIPT, RUNSTREAM_BASE_URL=page, **ALOUD).err.splitlines()[-1]
        assert f"1 point stored by the gateway {stack.address('gateway')}, but {page} {problem}" in said, said
        assert "/runs/" not in said


def test_a_proxy_that_fails_is_told_apart_from_the_gateway_that_was_asked_for(
    stack: ServiceStack, project: str
) -> None:
    proxy = f"127.0.0.1:{free_port()}"
    variables = {"http_proxy": f"http://user:word@{proxy}", "no_proxy": ""}
    said = play(SCRIPT.replace("20", "4"), **variables, **ALOUD).err
    assert f"gateway {stack.address('gateway')} through the proxy {proxy} " in said and "user:word" not in said, said


def test_status_says_what_its_words_mean_and_somebody_elses_folder_is_one_line(project: str, spool: Path) -> None:
    play(SCRIPT, RUNSTREAM_MODE="offline")
    said = command("status", str(spool)).out
    assert "process ended    it has ended" in said and "offline          mode='offline'" in said, said
    for name in ("sync", "status"):
        script = AS_NOBODY if os.geteuid() == 0 else "import runstream.cli; runstream.cli.main()"
        place = spool if os.geteuid() == 0 else "/proc/1"
        played = play(script, name, str(place))
        assert played.code == 1 and len(played.err.splitlines()) == 1, played.err
        assert "belongs to who logged" in played.err or os.geteuid() != 0


def test_doctor_looks_at_a_machine_that_only_logs(stack: ServiceStack, tmp_path: Path, spool: Path) -> None:
    well = command("doctor")
    assert well.code == 0 and well.out.endswith("all is well\n"), well
    assert all(f"ok   {part}" in well.out for part in ("spool", "disk", "API key", "page at", "gateway at")), well.out
    nowhere = command(
        "doctor", RUNSTREAM_GATEWAY=stack.address("http"), RUNSTREAM_API_KEY="rs_0123456789ab_" + "x" * 43
    )
    assert nowhere.code == 1 and "FAIL page at" in nowhere.out and "does not know the API key" in nowhere.out, nowhere
    assert f"FAIL gateway at {stack.address('http')}" in nowhere.out, nowhere.out
    unknown = command("doctor", RUNSTREAM_API_KEY="", RUNSTREAM_DIR=str(tmp_path / "other"))
    assert unknown.code == 1 and "FAIL API key: none is known" in unknown.out and "runstream login" in unknown.out


def test_a_sweeps_id_is_the_only_output_in_a_pipe(tmp_path: Path, project: str) -> None:
    sweep = tmp_path / "sweep.json"
    sweep.write_text('{"method": "random", "program": "t.py", "parameters": {"lr": {"values": [1, 2]}}}')
    made = command("sweep", str(sweep), "--project", project)
    assert made.code == 0 and made.out.split() == [made.out.strip()] and made.out.strip() in made.err, made
