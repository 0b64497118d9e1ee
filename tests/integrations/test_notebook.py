"""A real kernel: what its cells print is shown there, and kept with the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integrations.conftest import needed

START = """
import logging, os, sys, runstream
logging.basicConfig(stream=sys.stderr)
run = runstream.init(project="notebook", mode="offline", dir={folder!r}, settings={{"system_metrics": False}})
folder = run.spool_dir.replace("/streams/", "/console/")
"""
PRINT = """
print("from a cell")
logging.warning("from a logger")
_ = os.system("echo from a child")
"""
END = """
run.finish()
print("after the end")
print({name: open(f"{folder}/{name}").read() for name in ("stdout", "stderr")})
"""


@pytest.mark.timeout(200)
def test_what_cells_print_is_shown_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed("ipykernel")
    from jupyter_client.manager import start_new_kernel

    monkeypatch.setenv("RUNSTREAM_CONSOLE", "auto")
    manager, client = start_new_kernel(kernel_name="python3")
    shown: dict[str, list[str]] = {"stdout": [], "stderr": [], "error": []}

    def take(message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] in ("stream", "error"):
            kind = content.get("name", "error")
            shown["error" if message["msg_type"] == "error" else kind].append(str(content.get("text", content)))

    try:
        for cell in (START.format(folder=str(tmp_path)), PRINT, END):
            client.execute_interactive(cell, timeout=60, output_hook=take)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert not shown["error"], shown["error"]
    out, err = "".join(shown["stdout"]), "".join(shown["stderr"])
    assert "from a cell\n" in out and "after the end\n" in out and "WARNING:root:from a logger" in err
    kept = eval(out.splitlines()[-1])  # our own dict
    assert kept["stdout"].splitlines().count("from a cell") == 1 and "from a child\n" in kept["stdout"]
    assert "WARNING:root:from a logger\n" in kept["stderr"] and "after the end" not in kept["stdout"]
