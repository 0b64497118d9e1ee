"""Texts that want to be code: shown as they are, in every view that shows them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor

CORPUS = json.loads(Path(__file__).with_name("corpus.json").read_text(encoding="utf-8"))


def check_harmless(page: Page) -> None:
    assert page.evaluate("window.__broken") is None
    assert page.locator("iframe, object, embed, #page script, #page style").count() == 0


def test_texts_are_shown_and_do_nothing(visit: Callable[..., Visitor]) -> None:
    visitor = visit("/main/hostile?on=hostile-0&on=hostile-1", height=1600)
    page = visitor.page
    page.on("dialog", lambda dialog: visitor.complaints.append(f"a dialog: {dialog.message}"))
    expect(page.locator(".run-list li")).to_have_count(len(CORPUS))
    for text in CORPUS:
        expect(page.locator(".run-list").get_by_title(text, exact=True)).to_be_visible()
    expect(page.locator(".chart").first).to_be_visible()
    page.locator(".u-over").first.hover(position={"x": 40, "y": 40})
    expect(page.locator(".tip")).to_be_visible()
    check_harmless(page)


def test_a_runs_page_shows_them_too(visit: Callable[..., Visitor]) -> None:
    page = visit().page
    for number in (0, 1, 2, 6, 9):
        page.goto(f"/main/hostile/runs/hostile-{number}/overview")
        expect(page.get_by_role("region", name="Run", exact=True)).to_contain_text(CORPUS[number])
        expect(page.get_by_role("region", name="Summary")).to_contain_text(CORPUS[number])
        check_harmless(page)
    page.goto("/main/hostile/compare?" + "&".join(f"run=hostile-{number}" for number in range(6)))
    expect(page.get_by_role("table").first).to_contain_text(CORPUS[2])
    check_harmless(page)


def test_an_url_made_to_harm_does_nothing(visit: Callable[..., Visitor]) -> None:
    page = visit().page
    for text in CORPUS[:4]:
        query = "&".join(f"{name}={text}" for name in ("q", "find", "pin", "full", "size", "color", "xm", "fold"))
        page.goto(f"/main/vision?{query}".replace("#", "%23"))
        expect(page.get_by_role("toolbar")).to_be_visible()
        check_harmless(page)


def test_the_policy_lets_no_other_script_run(visit: Callable[..., Visitor]) -> None:
    visitor = visit("/main/vision")
    expect(visitor.page.get_by_role("toolbar")).to_be_visible()
    violated = visitor.page.evaluate(
        """() => new Promise((resolve) => {
            document.addEventListener("securitypolicyviolation", (event) => resolve(event.violatedDirective));
            const script = document.createElement("script");
            try {
                script.text = "window.__broken = 1";
                document.head.append(script);
            } catch { resolve("trusted-types"); }
            setTimeout(() => resolve("nothing"), 2000);
        })"""
    )
    visitor.complaints.clear()  # the violation, which was wanted
    assert violated != "nothing"
    check_harmless(visitor.page)
