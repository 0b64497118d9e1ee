"""What a run holds beyond curves: console, media, distributions, tables, plots, files, ranks."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.conftest import Visitor


def test_the_console_is_searched_and_coloured(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/rich/runs/rich").page
    page.get_by_role("link", name="Console").click()
    expect(page.locator(".line")).to_have_count(24)
    expect(page.locator(".line .c2").first).to_have_text("epoch 0")
    expect(page.locator(".line.stderr")).to_have_count(4)
    page.get_by_label("Search lines").fill("step 1[05]")
    expect(page.get_by_role("heading", name="No line matches")).to_be_visible()
    page.get_by_role("button", name=".*").click()
    expect(page.locator(".line")).to_have_count(2)


def test_media_are_shown_at_a_step(visit: Callable[..., Visitor]) -> None:
    visitor = visit("/main/rich/runs/rich/media")
    page = visitor.page
    image = page.get_by_role("img", name="step 19, <b>sample</b>")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 32
    page.get_by_label("Step").fill("4")
    expect(page.get_by_role("img", name="step 4, <b>sample</b>")).to_be_visible()
    assert "at=4" in page.url
    forgive_the_blocked_script(visitor)


def test_distributions_and_ranks_are_heat_maps(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/rich/runs/rich/distributions").page
    found = page.get_by_role("img", name="weights: distribution over steps").locator("canvas")
    found.hover(position={"x": 200, "y": 120})
    expect(page.locator(".tip")).to_contain_text("step")
    page.goto("/main/vision/runs/ranks/ranks")
    page.get_by_role("img", name="train/loss of each rank over steps").locator("canvas").hover(
        position={"x": 90, "y": 20}
    )
    expect(page.locator(".tip")).to_contain_text("rank 3")
    expect(page.get_by_role("region", name="Stragglers").get_by_role("row")).to_have_count(5)
    expect(page.get_by_role("region", name="First NaN or infinity")).to_contain_text("Every value is finite")


def test_tables_are_sorted_and_paged_by_the_server(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/rich/runs/rich/tables?key=predictions").page
    expect(page.get_by_text("1 – 100 of 150 rows")).to_be_visible()
    page.get_by_role("button", name="number").click()
    expect(page.locator("tbody tr").first).to_contain_text("149")
    page.get_by_role("button", name="Next page").click()
    expect(page.get_by_text("101 – 150 of 150 rows")).to_be_visible()


def test_plots_are_drawn(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/rich/runs/rich/tables?key=confusion").page
    expect(page.locator(".confusion")).to_contain_text("owl")
    expect(page.get_by_text("Accuracy 0.855 of 200")).to_be_visible()
    page.get_by_label("Table").select_option("roc")
    expect(page.locator(".plot .chart")).to_be_visible()
    expect(page.locator(".legend")).to_contain_text("area")


def test_files_are_downloaded(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/rich/runs/rich/files").page
    with page.expect_download() as download:
        page.get_by_role("link", name="notes.txt").click()
    assert download.value.path().read_text(encoding="utf-8") == "kept with the run"


def test_alerts_are_listed_with_level_and_time(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/rich/runs/rich").page
    page.get_by_role("link", name="Alerts").click()
    alerts = page.get_by_role("list", name="Alerts").get_by_role("listitem")
    expect(alerts).to_have_text([re.compile("error.*loss is NaN.*(ago|now)"), re.compile("warning.*<i>no</i> reason")])
    page.get_by_label("Level").select_option("warn")
    expect(alerts).to_have_count(1)
    page.goto("/main/rich/runs/plain/alerts")
    expect(page.get_by_role("heading", name="No alerts")).to_be_visible()


def test_texts_are_shown_by_step(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/rich/runs/rich").page
    page.get_by_role("link", name="Texts").click()
    texts = page.get_by_role("region", name="sample text").locator("dl > div")
    expect(texts).to_have_count(5)
    expect(texts.first).to_contain_text("step 16: the <b>cat</b> sat")
    page.get_by_label("up to step").fill("7")
    expect(texts).to_have_count(2)


def test_a_logged_page_is_shown_and_its_scripts_do_not_run(visit: Callable[..., Visitor]) -> None:
    visitor = visit("/main/rich/runs/rich/media")
    page = visitor.page
    expect(page.frame_locator("iframe").get_by_role("heading")).to_have_text("A report")
    assert page.locator("iframe").get_attribute("sandbox") == ""
    source = page.locator("iframe").get_attribute("src") or ""
    page.goto(source)  # opened by itself it is in the sandbox, too
    expect(page.get_by_role("heading")).to_have_text("A report")
    forgive_the_blocked_script(visitor)


def forgive_the_blocked_script(visitor: Visitor) -> None:
    """The logged page has a script: that it may not run is said in the console."""
    visitor.complaints[:] = [one for one in visitor.complaints if "Blocked script execution" not in one]
