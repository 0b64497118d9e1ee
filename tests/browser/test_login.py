"""Logging in and out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.conftest import Server, Visitor

RUNSTREAM = "import sys; from runstream.cli import main; sys.exit(main())"


def test_a_key_logs_in_and_the_wanted_view_opens(server: Server, visit: Callable[..., Visitor]) -> None:
    visitor = visit("/main/vision", logged_in=False)
    page = visitor.page
    visitor.tolerant = True  # Chromium tells of the 401 below
    page.get_by_label("API key").fill("rs_000000000000_" + "x" * 43)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("not valid")
    page.get_by_label("API key").fill(server.stack.key)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="train/loss")).to_be_visible()
    assert page.url == f"{server.base}/main/vision"
    cookie = next(one for one in visitor.context.cookies() if one["name"].startswith("runstream-"))
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
    page.get_by_role("button", name="Account of tester").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("API key")).to_be_visible()
    page.reload()
    expect(page.get_by_label("API key")).to_be_visible()


def test_a_link_logs_in_once(server: Server, visit: Callable[..., Visitor]) -> None:
    address = _link(server)
    first = visit(address, logged_in=False)
    expect(first.page.get_by_role("link", name="vision")).to_be_visible()
    assert first.page.url == f"{server.base}/"
    second = visit(logged_in=False)
    second.tolerant = True
    second.page.goto(address)
    expect(second.page.get_by_role("alert")).to_contain_text("was used or has expired")


def test_a_session_that_ends_in_mid_use_asks_to_log_in_and_goes_on(
    server: Server, visit: Callable[..., Visitor]
) -> None:
    visitor = visit("/main/vision?q=loss&smooth=0.5")
    page = visitor.page
    expect(page.get_by_role("heading", name="train/loss")).to_be_visible()
    visitor.tolerant = True  # of the 401
    ended = visitor.context.request.delete("/api/session", headers={"x-runstream-page": "1"})
    assert ended.ok
    expect(page.get_by_label("API key")).to_be_visible()  # the next question was refused
    page.get_by_label("API key").fill(server.stack.key)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="train/loss")).to_be_visible()
    assert page.url == f"{server.base}/main/vision?q=loss&smooth=0.5"


def _link(server: Server) -> str:
    """As an administrator makes one."""
    prefix = "_".join(server.stack.key.split("_")[:2])
    command = [sys.executable, "-c", RUNSTREAM, "key", "--control-url", server.stack.control_url]
    done = subprocess.run(
        [*command, "link", prefix, "--base-url", server.base], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
