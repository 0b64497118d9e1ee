"""axe-core on every view, in both themes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ROOT, Visitor

AXE = ROOT / "query" / "page" / "node_modules" / "axe-core" / "axe.min.js"
VIEWS = {
    "/": "main .plain-table",
    "/main/vision?smooth=0.5": ".chart",
    "/main/vision/table?f=state ~ = ~ finished": ".runs-table tbody a",
    "/main/vision/table?group=state": ".groups tbody tr",
    "/main/vision/runs/run-0/overview": ".info",
    "/main/vision/compare?run=run-0&run=run-1": ".compare",
}


def serious(page: Page, rules: list[str]) -> list[str]:
    """What axe-core finds that is serious or critical; `rules`: only these, all where it is empty."""
    found: dict[str, Any] = page.evaluate(
        "rules => axe.run(document, {resultTypes: ['violations'], ...(rules.length ? {runOnly: rules} : {})})", rules
    )
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_no_view_has_serious_violations(visit: Callable[..., Visitor], dark: bool) -> None:
    visitor = visit(dark=dark)
    page = visitor.page
    page.add_init_script(Path(AXE).read_text(encoding="utf-8"))
    rules = ["color-contrast"] if dark else []  # in what else do the themes differ?
    found = []
    for path, sign in VIEWS.items():
        page.goto(path)
        expect(page.locator(sign).first).to_be_visible()
        found += [f"{path}: {one}" for one in serious(page, rules)]
    visitor.tolerant = True  # the last view may still ask, and hear that it may not
    visitor.context.clear_cookies()
    page.goto("/login")
    expect(page.get_by_label("API key")).to_be_visible()
    found += [f"login: {one}" for one in serious(page, rules)]
    assert not found, "\n".join(found)
