"""The table of runs."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.conftest import RUNS, Server, Visitor


def names(page: Page) -> list[str]:
    return page.locator(".runs-table tbody .name-cell a").all_inner_texts()


def test_runs_are_sorted_filtered_and_searched_by_the_server(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/vision/table").page
    expect(page.locator(".name-cell")).to_have_count(RUNS + 1)
    page.get_by_role("button", name="lr", exact=True).click()
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("lr")
    expect(page.locator(".name-cell a").first).to_have_text("resnet-0")
    page.get_by_role("button", name="lr", exact=True).click()
    expect(page.locator(".name-cell a").first).to_have_text(f"resnet-{RUNS - 1}")
    page.get_by_role("button", name="Add a filter").click()
    page.get_by_label("Field").fill("config.lr")
    page.get_by_label("Condition").select_option(">")
    page.get_by_label("Value").fill("0.09")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator(".name-cell")).to_have_count(4)  # 0.3, 0.15, 0.1 and the run of many ranks
    address = page.url
    again = visit(address).page
    expect(again.locator(".name-cell")).to_have_count(4)
    again.get_by_role("link", name="Charts").click()  # the same runs, beside the charts
    expect(again.locator(".run-list li")).to_have_count(4)
    page.get_by_role("button", name="Remove the filter on config.lr").click()
    page.get_by_label("Search runs").fill("resnet-2")
    expect(page.locator(".name-cell")).to_have_count(1)
    page.get_by_label("Search runs").fill("nothing has this")
    expect(page.get_by_role("heading", name="No run matches")).to_be_visible()


def test_columns_are_chosen(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/vision/table").page
    expect(page.get_by_role("button", name="val/accuracy")).to_be_visible()
    page.get_by_role("button", name="Columns").click()
    page.get_by_label("Search columns").fill("accuracy|beta")
    page.get_by_label("summary.val/accuracy").click()
    page.get_by_label("config.optimizer.beta").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="val/accuracy")).to_have_count(0)
    expect(page.get_by_role("button", name="optimizer.beta")).to_be_visible()


def test_groups_are_counted_and_open_into_their_runs(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/vision/table").page
    page.get_by_label("Group by").select_option("config.optimizer.name")
    expect(page.get_by_role("row", name=re.compile("adamw"))).to_contain_text("2 runs")
    expect(page.get_by_role("row", name=re.compile("adamw"))).to_contain_text("±")
    page.get_by_role("button", name="adamw").click()
    expect(page.locator(".name-cell")).to_have_count(2)


def test_chosen_runs_are_compared(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/vision/table").page
    page.get_by_label("Select resnet-1").click()
    page.get_by_label("Select resnet-3").click(modifiers=["Shift"])
    expect(page.get_by_text("3 selected")).to_be_visible()
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".compare thead th")).to_have_text(["resnet-3", "resnet-2", "resnet-1"])


def test_deleting_can_be_undone_until_it_is_done(server: Server, visit: Callable[..., Visitor]) -> None:
    assert server.train("shapes", "to-delete").wait(60) == 0
    visitor = visit("/main/to-delete/table")
    page = visitor.page
    page.get_by_label("Select shapes").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.locator(".name-cell")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".name-cell")).to_have_count(1)
    page.get_by_label("Select shapes").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.locator(".name-cell")).to_have_count(0)
    page.goto("/")  # leaving means it: the request goes out with the page
    page.goto("/main/to-delete/table")
    expect(page.get_by_role("heading", name="Log your first run")).to_be_visible(timeout=15_000)
    visitor.tolerant = True
    page.goto("/main/to-delete/runs/shapes/console")
    expect(page.get_by_role("heading", name="Run not found")).to_be_visible()
