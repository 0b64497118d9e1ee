"""A table of a million rows and a console of 100 MB: only what is on the screen is asked for."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Server, Visitor

ROWS = LINES = 1_000_000


@pytest.fixture(scope="module", autouse=True)
def large(server: Server) -> None:
    """Made by the engine itself, in the run that logged nothing."""
    client = server.stack.clickhouse.client()
    month = "(SELECT any(run_month) FROM streams WHERE project = 'main/rich' AND run = 'plain')"
    row = "concat('[', toString(number), ',\"row ', toString(number), '\"]')"
    client.command(
        "INSERT INTO tables (project, run, key, rank, step, columns, row_count, rows, time, version, run_month) "
        f"SELECT 'main/rich', 'plain', 'large', 0, 0, ['number', 'name'], {ROWS}, "
        f"concat('[', arrayStringConcat(groupArray({row}), ','), ']'), now64(6), 1, {month} FROM numbers({ROWS})"
    )
    client.command(
        "INSERT INTO console (project, run, rank, output, writer, line, text, time, version, run_month) "
        "SELECT 'main/rich', 'plain', 0, 'stdout', 'writer', number, "
        "concat('line ', toString(number), ' ', repeat('x', 88)), "
        f"fromUnixTimestamp64Micro(1790000000000000 + toInt64(number)), number + 1, {month} FROM numbers({LINES})"
    )


def test_of_a_million_rows_a_page_is_read(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/rich/runs/plain").page
    page.get_by_role("link", name="Tables").click()
    expect(page.get_by_text("1 – 100 of 1,000,000 rows")).to_be_visible()
    expect(page.locator("tbody tr").last).to_contain_text("row 99")
    assert page.locator("tbody tr").count() == 100


def test_a_console_of_100_megabytes_is_read_from_its_end(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/rich/runs/plain/console").page
    expect(page.get_by_text("1,000,000 lines")).to_be_visible()
    expect(page.locator(".line").last).to_contain_text("line 999999 ")
    paper = page.get_by_role("log")
    paper.evaluate("paper => (paper.scrollTop = 0)")
    expect(page.locator(".line").filter(has_text=re.compile("line 9989[0-9][0-9] ")).first).to_be_attached()
    assert page.locator(".line").count() < 200
    page.get_by_label("Search lines").fill("line 123456 ")
    expect(page.locator(".line")).to_have_count(1)
