"""What people keep on the server: saved views, reports with live panels, tags, names and notes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Server, Visitor
from tests.browser.test_access import AXE, serious
from tests.browser.test_hostile import CORPUS, check_harmless

PROJECT = "/main/papers"
TEXT = """Smaller is *slower*: see [the runs](/main/papers/table).

```panel
metrics: train/loss, val/*
runs: resnet-0, run-1
smoothing: 0.6
title: Learning rates
```

| lr | result |
|---:|---|
| 0.3 | **best** |

```runs
sort: +name
columns: config.lr, tags
```

```panel
metrics: loss
smooting: 1
```
"""


@pytest.fixture(scope="module")
def papers(server: Server) -> Iterator[Server]:
    assert server.train("finished", "papers", "3").wait(100) == 0
    yield server


def save_report(visitor: Visitor, name: str, content: str) -> str:
    """By the API; its address."""
    body = {"project": "papers", "kind": "SAVED_KIND_REPORT", "name": name, "content": content, "shared": True}
    answer = visitor.context.request.post("/api/v1/CreateSaved", data=body, headers={"x-runstream-page": "1"})
    assert answer.ok, answer.text()
    return f"{PROJECT}/reports/{answer.json()['id']}"


def test_a_view_is_saved_opened_by_its_address_updated_and_deleted_with_a_way_back(
    papers: Server, visit: Callable[..., Visitor]
) -> None:
    page = visit(f"{PROJECT}/table?sort=-config.lr&f=config.lr ~ < ~ 0.2").page
    expect(page.locator(".name-cell")).to_have_count(2)
    page.get_by_role("button", name="Views").click()
    page.get_by_role("button", name="Save as…").click()
    page.get_by_label("Name", exact=True).fill("Slow <b>ones</b>")
    page.get_by_label("Share it with the team").check()
    page.get_by_role("button", name="Save", exact=True).click()
    menu = page.get_by_role("button", name="Views: Slow <b>ones</b>")
    expect(menu).to_be_visible()
    found = re.search(r"view=([\w-]+)", page.url)
    assert found
    other = visit(f"{PROJECT}/views/{found[1]}").page
    expect(other.locator(".name-cell")).to_have_count(2)
    expect(other.locator("th[aria-sort=descending]")).to_contain_text("lr")
    other.get_by_role("button", name="Remove the filter on config.lr").click()
    expect(other.locator(".name-cell")).to_have_count(3)
    other.get_by_role("button", name="Views: Slow").click()
    other.get_by_role("button", name="Save changes to Slow").click()
    expect(other.get_by_text("Slow <b>ones</b> saved")).to_be_visible()
    page.goto(f"{PROJECT}/views/{found[1]}")
    expect(page.locator(".name-cell")).to_have_count(3)
    menu.click()
    page.get_by_role("button", name="Delete Slow").click()
    expect(page.get_by_role("button", name="Views", exact=True)).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Views", exact=True).click()
    expect(page.get_by_role("link", name="Slow <b>ones</b>")).to_be_visible()
    check_harmless(page)


def test_a_report_is_written_with_a_preview_and_shows_live_panels(
    papers: Server, visit: Callable[..., Visitor]
) -> None:
    visitor = visit(f"{PROJECT}/reports/new")
    page = visitor.page
    page.get_by_label("Name of the report").fill("Learning rates")
    page.get_by_label("Text of the report").fill(TEXT)
    preview = page.get_by_role("region", name="Preview")
    expect(preview.locator(".chart")).to_have_count(3)  # train/loss, val/accuracy, val/loss
    expect(preview.get_by_role("note")).to_contain_text("line 2: write one of")
    page.keyboard.press("Control+s")
    expect(page).to_have_url(re.compile(r"/reports/[\w-]+/edit$"))
    page.get_by_role("link", name="Done").click()
    report = page.locator("article.report")
    expect(report.get_by_role("heading", name="Learning rates", level=1)).to_be_visible()
    expect(report.locator(".chart").first).to_be_visible()
    expect(report.locator(".legend").first).to_have_text(re.compile("resnet-0.*resnet-1", re.S))
    expect(report.get_by_role("region", name="Runs").locator("tbody tr")).to_have_count(3)
    expect(report.get_by_role("cell", name="best")).to_be_visible()
    page.evaluate(Path(AXE).read_text(encoding="utf-8"))
    assert serious(page, []) == []
    page.get_by_role("link", name="Edit").click()
    expect(page.get_by_label("Text of the report")).to_have_value(TEXT)
    assert serious(page, []) == []
    page.set_viewport_size({"width": 390, "height": 800})
    expect(preview).to_be_hidden()
    page.get_by_role("tab", name="Preview").click()
    expect(preview.locator(".chart").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.goto(f"{PROJECT}/reports")
    page.get_by_role("button", name="More about Learning rates").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("link", name="Learning rates")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("link", name="Learning rates")).to_be_visible()


def test_the_second_of_two_writers_is_told_and_keeps_his_text(papers: Server, visit: Callable[..., Visitor]) -> None:
    first = visit()
    address = save_report(first, "Two writers", "both begin here")
    second = visit(f"{address}/edit")
    second.tolerant = True  # the refusal
    text = "Text of the report"
    first.page.goto(f"{address}/edit")
    expect(second.page.get_by_label(text)).to_have_value("both begin here")
    first.page.get_by_label(text).fill("the first was here")
    first.page.get_by_role("button", name="Save", exact=True).click()
    expect(first.page.get_by_role("button", name="Saved")).to_be_visible()
    second.page.get_by_label(text).fill("the second was here")
    second.page.get_by_role("button", name="Save", exact=True).click()
    expect(second.page.get_by_role("alert")).to_contain_text("was changed by tester in the meantime")
    expect(second.page.get_by_label(text)).to_have_value("the second was here")
    second.page.on("dialog", lambda dialog: dialog.accept())
    second.page.goto(f"{address}/edit")  # what was not saved is still there
    expect(second.page.get_by_text("which was not saved")).to_be_visible()
    expect(second.page.get_by_label(text)).to_have_value("the second was here")
    second.page.get_by_role("button", name="Save", exact=True).click()
    second.page.get_by_role("button", name="Save mine as a copy").click()
    expect(second.page.get_by_label("Name of the report")).to_have_value("Two writers (copy)")
    first.page.goto(address)
    expect(first.page.locator("article.report")).to_contain_text("the first was here")


def test_texts_that_want_to_be_code_do_nothing_in_a_report(papers: Server, visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.page.on("dialog", lambda dialog: visitor.complaints.append(f"a dialog: {dialog.message}"))
    parts = [
        f"{text}\n\n[link]({text}) ![picture]({text}) <{text}>\n\n- {text}\n\n> {text}\n\n## {text}\n\n`{text}`\n\n"
        f"| {text.replace('|', '')} |\n|---|\n| {text} |\n\n"
        f"```panel\ntitle: {text}\nmetrics: train/loss\nruns: run-0\n```\n\n```{text}\n{text}\n```\n"
        for text in CORPUS
    ]
    parts.append(
        "[a](java&#115;cript:window.__broken=1) <a href='javascript:window.__broken=1'>b</a> <https://x.example>"
    )
    address = save_report(visitor, CORPUS[0], "\n\n".join(parts))
    page = visitor.page
    page.goto(address)
    expect(page.get_by_role("heading", level=1, name=CORPUS[0])).to_be_visible()
    expect(page.locator(".markdown")).to_contain_text(CORPUS[1])
    links = page.locator(".markdown a").evaluate_all("all => all.map((one) => one.protocol)")
    assert set(links) <= {"http:", "https:", "mailto:"} and len(links) > 3
    page.locator(".chart").first.wait_for()
    check_harmless(page)
    page.goto(save_report(visitor, "deep", ">" * 20_000 + "deep **text**"))
    expect(page.locator(".markdown")).to_contain_text("deep **text**")  # as it was written
    described = json.dumps({"project": "papers", "description": "\n\n".join(CORPUS)})
    headers = {"x-runstream-page": "1", "content-type": "application/json"}
    assert visitor.context.request.post("/api/v1/UpdateProject", data=described, headers=headers).ok
    page.goto(f"{PROJECT}/reports")
    expect(page.get_by_role("region", name="About the project")).to_contain_text(CORPUS[2])
    expect(page.get_by_role("link", name=CORPUS[0])).to_be_visible()
    check_harmless(page)


def tags_of(page: Page, name: str) -> list[str]:
    return page.get_by_role("row", name=name).locator(".tag").all_inner_texts()


def test_runs_are_tagged_together_renamed_and_given_back_what_they_had(
    papers: Server, visit: Callable[..., Visitor]
) -> None:
    page = visit(f"{PROJECT}/table").page
    page.get_by_label("Select resnet-0").click()
    page.get_by_label("Select resnet-1").click()
    page.get_by_role("button", name="Tag", exact=True).click()
    page.get_by_label("Add tags").fill("paper, <script>alert(1)</script>")
    page.get_by_label("baseline").check()  # what one of them has: first all get it, then none
    page.get_by_label("baseline").uncheck()
    page.get_by_role("button", name="Save", exact=True).click()
    row = page.get_by_role("row", name="resnet-0")
    expect(row.locator(".tag")).to_have_text(["paper", "<script>alert(1)</script>"])
    assert tags_of(page, "resnet-1")[-2:] == ["paper", "<script>alert(1)</script>"]
    page.get_by_role("button", name="Undo").click()
    expect(row.locator(".tag")).to_have_text(["baseline"])
    page.goto(f"{PROJECT}/runs/run-2/overview")
    page.get_by_role("button", name="Edit name, notes, tags").click()
    page.get_by_label("Name", exact=True).fill("the chosen one")
    page.get_by_label("Notes", exact=True).fill("shown in the paper")
    page.get_by_label("Tags, separated by commas").fill("final")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="the chosen one")).to_be_visible()
    expect(page.get_by_role("region", name="Run", exact=True)).to_contain_text("shown in the paper")
    expect(page.get_by_role("region", name="Edits")).to_contain_text("name the chosen one")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("heading", name="resnet-2")).to_be_visible()
    check_harmless(page)
