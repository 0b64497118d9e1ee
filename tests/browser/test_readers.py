"""Who may only read sees what may be done, and that others may do it."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Visitor
from tests.browser.test_access import AXE, serious

WHY = re.compile("You can only read in team main")


def check_off(found: Locator) -> None:
    expect(found).to_be_disabled()
    expect(found).to_have_attribute("title", WHY)


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def test_who_may_only_read_is_told_before_trying(viewer: str, visit: Callable[..., Visitor]) -> None:
    visitor = visit(logged_in=False).log_in(viewer)
    page = visitor.page
    page.add_init_script(AXE.read_text(encoding="utf-8"))
    page.goto("/main/vision/table")
    page.get_by_role("checkbox", name="Select resnet-0").check()
    check_off(button(page, "Tag"))
    check_off(button(page, "Delete"))
    expect(button(page, "Chart")).to_be_enabled()
    page.get_by_role("button", name="Views", exact=True).click()
    check_off(page.get_by_role("button", name="Save as…"))
    assert not serious(page, [])
    page.goto("/main/vision/runs/run-0")
    check_off(button(page, "Edit name, notes, tags"))
    button(page, "More about this run").click()
    check_off(button(page, "Delete this run"))
    page.goto("/main/vision/reports")
    check_off(button(page, "New report").first)
    check_off(button(page, "Describe this project"))
    assert not serious(page, [])


def test_who_may_write_is_offered_it(visit: Callable[..., Visitor]) -> None:
    page = visit("/-/vision/reports").page
    expect(page.get_by_role("link", name="New report").first).to_be_visible()
    expect(button(page, "Describe this project")).to_be_enabled()
