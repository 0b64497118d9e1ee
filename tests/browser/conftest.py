"""A real stack with real runs, and Debian's Chromium in front of it. A test's pages must say nothing in the console and
ask no other origin."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.support.processes import Service
from tests.support.stack import ServiceStack, clean_environment

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RUNS = 6
expect.set_options(timeout=40_000)  # two cores may be busy with something else


@dataclass(frozen=True, slots=True)
class Server:
    stack: ServiceStack
    base: str
    environment: dict[str, str]

    def train(self, *arguments: str, **more: str) -> subprocess.Popen[bytes]:
        """`more`: variables for the process."""
        command = [sys.executable, "-m", "tests.browser.train", *arguments]
        return subprocess.Popen(
            command, env={**self.environment, **more}, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def restart_query(self) -> Callable[[], Service]:
        """Stops the query service; the answer starts it again."""
        self.stack.services["query"].stop()
        return lambda: self.stack.start_service("query", "runstream_query", "query_ops")


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    build = subprocess.run([sys.executable, "query/page/build.py"], cwd=ROOT, capture_output=True, check=False)
    assert build.returncode == 0, build.stderr.decode("utf-8", "replace")[-2000:]
    folder = tmp_path_factory.mktemp("browser")
    stack = ServiceStack(folder).start()
    environment = {**clean_environment(), **stack.sdk_environment(folder / "spool"), "PYTHONPATH": str(ROOT)}
    found = Server(stack, f"http://{stack.address('http')}", environment)
    jobs = [
        found.train("finished", "vision", str(RUNS)),
        found.train("ranks", "vision", "4"),
        found.train("shapes", "shapes"),
        found.train("rich", "rich", RUNSTREAM_CONSOLE="auto"),
        found.train("hostile", "hostile", str(HERE / "corpus.json")),
    ]
    for job in jobs:
        assert job.wait(100) == 0, f"{job.args} failed"
    yield found
    stack.stop()


@pytest.fixture(scope="package")
def viewer(server: Server) -> str:
    """The key of somebody who reads."""
    options = ["--control-url", server.stack.control_url, "create", "--team", "main", "--user", "reader"]
    command = [
        sys.executable,
        "-c",
        "from runstream_control.cli import main; raise SystemExit(main())",
        *options,
        "--role",
        "viewer",
    ]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        reason = "Chromium is not installed (see tests/setup.sh)"
        if os.environ.get("RUNSTREAM_REQUIRE_REAL"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        # The sandbox needs what root in a container does not have; the pages are our own.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visitor:
    """A browser window of its own, logged in or not; remembers what its pages complained of."""

    def __init__(self, browser: Browser, server: Server, width: int, height: int, dark: bool) -> None:
        self.base = server.base
        self.complaints: list[str] = []
        self.tolerant = False
        """Set where the server is taken away: requests fail then, and Chromium says so in the console."""
        self.context: BrowserContext = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            base_url=server.base,
            reduced_motion="reduce",
            permissions=["clipboard-read", "clipboard-write"],
        )
        self.context.set_default_timeout(40_000)
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda message: self._say(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        self.page.on("request", lambda request: self._ask(request.url))

    def log_in(self, key: str) -> Visitor:
        answer = self.context.request.post("/api/session", data={"key": key}, headers={"x-runstream-page": "1"})
        assert answer.ok, answer.text()
        return self

    def _say(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not (self.tolerant and "Failed to load resource" in text):
            self.complaints.append(f"{kind}: {text}")

    def _ask(self, url: str) -> None:
        if not url.startswith((self.base, "data:", "blob:")):
            self.complaints.append(f"a request leaves the origin: {url}")


@pytest.fixture
def visit(server: Server, chromium: Browser) -> Iterator[Callable[..., Visitor]]:
    """`visit(path, width=1440, ...)`: a logged-in visitor at this path."""
    visitors: list[Visitor] = []

    def make(
        path: str = "", *, width: int = 1440, height: int = 900, dark: bool = False, logged_in: bool = True
    ) -> Visitor:
        visitor = Visitor(chromium, server, width, height, dark)
        visitors.append(visitor)
        if logged_in:
            visitor.log_in(server.stack.key)
        if path:
            visitor.page.goto(path)
        return visitor

    yield make
    complaints = [complaint for visitor in visitors for complaint in visitor.complaints]
    for visitor in visitors:
        visitor.context.close()
    assert not complaints, complaints
