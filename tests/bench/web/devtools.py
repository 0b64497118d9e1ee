"""A Chromium that is spoken to over its DevTools pipe, and nothing else.

Playwright's own session has the Network domain on: Chromium then remembers every request of the page until it
navigates, half a kilobyte each, which is more than the page itself may grow by in an hour. Here only what is asked for
is on.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

TIMEOUT_S = 60
_READS, _WRITES = 3, 4
"""Descriptors that `--remote-debugging-pipe` uses."""


class Devtools:
    """One window, 1440 x 900. Answers are waited for; events are passed over. Not for several threads."""

    def __init__(self, folder: Path) -> None:
        command = [
            shutil.which("chromium") or "chromium",
            "--headless",
            "--remote-debugging-pipe",
            f"--user-data-dir={folder / 'chromium'}",
            "--no-sandbox",  # needs what root in a container does not have; the pages are our own
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-extensions",
            "--disable-back-forward-cache",  # would keep the page before this one, for ten minutes
            "--enable-precise-memory-info",
            "about:blank",
        ]
        theirs, self._out = os.pipe()
        self._in, back = os.pipe()
        # By a shell: descriptors 3 and 4 may be taken in this process.
        redirected = ["/bin/sh", "-c", f'exec "$@" {_READS}<&{theirs} {_WRITES}>&{back}', "sh", *command]
        self._process = subprocess.Popen(
            redirected, pass_fds=(theirs, back), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(theirs)
        os.close(back)
        self._buffer = b""
        self._number = 0
        self._session = ""
        target = self.browser("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.browser("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.send("Page.enable")
        self.send("Emulation.setDeviceMetricsOverride", width=1440, height=900, deviceScaleFactor=1, mobile=False)

    def __enter__(self) -> Devtools:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        os.close(self._out)
        os.close(self._in)

    def browser(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Of the browser. Raises RuntimeError with what it refuses, TimeoutError after a minute."""
        return self._ask({"method": method, "params": parameters})

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Of the page."""
        return self._ask({"method": method, "params": parameters, "sessionId": self._session})

    def evaluate(self, expression: str) -> Any:
        """What it comes to, promises too, as JSON."""
        found = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(f"{expression}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def wait(self, expression: str) -> None:
        """Until it is true. Raises TimeoutError."""
        deadline = time.monotonic() + TIMEOUT_S
        while not self.evaluate(f"Boolean({expression})"):
            if time.monotonic() > deadline:
                raise TimeoutError(expression)
            time.sleep(0.1)

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        os.write(self._out, json.dumps({"id": self._number, **message}).encode() + b"\0")
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            answer = self._read()
            if answer.get("id") != self._number:
                continue
            if "error" in answer:
                raise RuntimeError(f"{message['method']}: {answer['error']}")
            found: dict[str, Any] = answer["result"]
            return found
        raise TimeoutError(message["method"])

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not (part := os.read(self._in, 1 << 16)):
                raise RuntimeError("Chromium has ended")
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message
