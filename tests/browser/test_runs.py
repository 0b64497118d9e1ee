"""A run's page, comparing, deleting."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.conftest import Visitor


def test_a_runs_views(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/vision/runs/ranks").page
    expect(page.get_by_role("heading", name="many-ranks")).to_be_visible()
    page.get_by_label("Ranks").select_option("each")
    page.locator("article[aria-label='train/step_s'] .u-over").hover(position={"x": 100, "y": 60})
    expect(page.locator(".tip tr")).to_have_count(4)
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("region", name="Completeness")).to_contain_text("Complete")
    expect(page.get_by_role("region", name="Config")).to_contain_text("0.1")
    expect(page.get_by_role("region", name="Processes (4)").get_by_role("row")).to_have_count(5)
    page.get_by_role("link", name="System").click()
    expect(page.get_by_role("heading", name="No metrics yet")).to_be_visible()


def test_the_default_team_is_a_dash_in_the_sdks_links(visit: Callable[..., Visitor]) -> None:
    page = visit("/-/vision/runs/run-0").page
    expect(page.get_by_role("heading", name="resnet-0")).to_be_visible()


def test_comparing_shows_what_differs(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/vision/compare?run=run-0&run=run-1").page
    table = page.get_by_role("table").first
    expect(table).to_contain_text("optimizer.name")
    expect(table).not_to_contain_text("optimizer.beta")
    page.get_by_role("button", name="Only differences").click()
    expect(table).to_contain_text("optimizer.beta")
    panel = page.locator("article[aria-label='train/loss']")
    panel.scroll_into_view_if_needed()
    expect(panel.locator(".chart")).to_be_visible()


def test_comparing_shows_where_they_ran_and_their_uncommitted_changes(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/rich/compare?run=plain&run=rich").page
    page.get_by_role("button", name="Where they ran differs: Environment 1, Git 1, uncommitted changes").click()
    assert "where=1" in page.url
    table = page.get_by_role("region", name="Where they ran").get_by_role("table")
    expect(table.get_by_role("row", name=re.compile("^working_directory"))).to_contain_text("runstream-checkout")
    expect(table.get_by_role("row", name=re.compile("^commit"))).to_be_visible()
    expect(table).not_to_contain_text("memory_bytes")
    page.get_by_role("button", name="Only differences").click()
    expect(table).to_contain_text("memory_bytes")
    changes = page.get_by_role("region", name="Uncommitted changes: from nothing to everything")
    expect(changes.locator(".added").filter(has_text="<b>lower</b>")).to_be_visible()
    page.goto("/main/rich/runs/rich/overview")
    expect(page.get_by_label("git diff", exact=True).locator(".removed")).to_contain_text(["-lr = 0.2"])


def test_what_is_not_there_says_so_and_what_is_near(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.tolerant = True
    visitor.page.goto("/main/vision/runs/run-00")
    expect(visitor.page.get_by_text("run-0", exact=False).first).to_be_visible()
    expect(visitor.page.get_by_role("heading", name="Run not found")).to_be_visible()
    visitor.page.goto("/main/visio")
    expect(visitor.page.get_by_role("alert")).to_contain_text("vision")
    visitor.page.goto("/main/vision/nowhere")
    expect(visitor.page.get_by_role("alert")).to_contain_text("There is no view nowhere")
