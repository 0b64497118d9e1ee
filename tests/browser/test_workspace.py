"""The charts of a project."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import RUNS, Server, Visitor


def panel(page: Page, metric: str) -> Locator:
    return page.locator(f"article[aria-label='{metric}']")


def chart(page: Page, metric: str) -> Locator:
    found = panel(page, metric).locator(".chart")
    expect(found).to_be_visible()
    return found


def curves_asked(page: Page) -> list[dict[str, object]]:
    """The requests for curves from now on."""
    asked: list[dict[str, object]] = []
    page.on("request", lambda r: asked.append(json.loads(r.post_data or "{}")) if "GetCurves" in r.url else None)
    return asked


def saved(page: Page, metric: str, as_what: str) -> tuple[str, str]:
    """Name and content of the file."""
    panel(page, metric).hover()
    page.get_by_role("button", name=f"More about {metric}", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Save as {as_what}").click()
    return download.value.suggested_filename, download.value.path().read_text(encoding="utf-8")


def drag(page: Page, found: Locator, begin: float, end: float) -> None:
    """Over the plot, from one share of its width to another."""
    box = found.locator(".u-over").bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * begin, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * (begin + end) / 2, y)
    page.mouse.move(box["x"] + box["width"] * end, y)
    page.mouse.up()


def test_panels_are_drawn_when_seen_in_few_requests(visit: Callable[..., Visitor]) -> None:
    visitor = visit(height=600)
    asked = curves_asked(visitor.page)
    visitor.page.goto("/main/vision")
    for metric in ("epoch", "train/loss", "train/grad_norm", "train/lr"):
        chart(visitor.page, metric)
    assert len(asked) <= 3
    below = panel(visitor.page, "val/loss")
    expect(below.locator(".chart")).to_have_count(0)
    below.scroll_into_view_if_needed()
    chart(visitor.page, "val/loss")


def test_hover_shows_values_and_moves_every_cursor(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/vision").page
    chart(page, "epoch")
    chart(page, "train/loss").locator(".u-over").hover(position={"x": 100, "y": 60})
    tip = panel(page, "train/loss").locator(".tip")
    expect(tip).to_contain_text("step")
    expect(tip.locator("tr")).to_have_count(RUNS + 1)
    others = page.locator(".crosshair:visible")
    expect(others.nth(2)).to_be_attached()  # of the other charts
    places = others.evaluate_all("all => all.map(one => parseFloat(one.style.backgroundPositionX))")
    assert min(places) > 50


def test_hover_draws_no_curve_again_and_leaves_nothing_behind(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/vision").page
    found = chart(page, "train/loss")
    picture = "one => one.querySelector('.u-wrap canvas').toDataURL()"
    before = found.evaluate(picture)
    over = found.locator(".u-over")
    box = over.bounding_box()
    assert box is not None
    for share in (0.02, 0.5, 0.98):  # the tooltip stays within the window wherever the chart is
        over.hover(position={"x": box["width"] * share, "y": 60})
        tip = found.locator(".tip").bounding_box()
        assert tip is not None and tip["x"] >= 0 and tip["x"] + tip["width"] <= 1440
    expect(found.locator(".chart-over")).to_have_count(2)  # the line that stands out; a dot on each line
    assert found.evaluate(picture) == before
    page.mouse.move(5, 5)
    for rest in (".chart-over", ".tip", ".crosshair:visible"):
        expect(page.locator(rest)).to_have_count(0)
    page.get_by_role("switch", name="Show resnet-1").hover()
    expect(found.locator(".chart-over.lifted")).to_have_count(1)  # its line, in all charts


def test_zooming_asks_for_finer_truth_and_is_in_the_url(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/vision").page
    found = chart(page, "train/loss")
    with page.expect_request(lambda request: "min_step" in (request.post_data or "")) as asked:
        drag(page, found, 0.5, 0.75)
    expect(page).to_have_url(re.compile("zoom="))
    question = json.loads(asked.value.post_data or "")
    low, high = int(question["min_step"]), int(question["max_step"])
    assert 900 < low < 1100 and 1400 < high < 1600
    expect(page.get_by_role("button", name=re.compile("–"))).to_be_visible()
    page.go_back()
    expect(page).not_to_have_url(re.compile("zoom="))
    page.go_forward()
    page.keyboard.press("z")
    expect(page).not_to_have_url(re.compile("zoom="))


def test_every_view_state_is_in_the_url(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/vision").page
    chart(page, "train/loss")
    page.keyboard.press("/")
    page.keyboard.type("loss|acc")
    expect(panel(page, "train/lr")).to_have_count(0)
    page.get_by_label("Search metrics").blur()
    page.keyboard.press("l")
    page.keyboard.press("o")
    page.get_by_label("Smoothing").fill("0.8")
    page.get_by_label("X axis").select_option("time")
    panel(page, "val/loss").hover()
    page.get_by_role("button", name="Pin val/loss", exact=True).click()
    page.get_by_role("switch", name="Show resnet-1").click()
    found = {name: values[-1] for name, values in parse_qs(urlsplit(page.url).query).items()}
    expected = {"q": "loss|acc", "log": "1", "robust": "1", "smooth": "0.8", "x": "time", "pin": "val/loss"}
    assert found == {**expected, "off": "run-1"}
    address = page.url
    again = visit(address).page
    expect(again.get_by_label("Search metrics")).to_have_value("loss|acc")
    expect(again.get_by_role("button", name="Log", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(again.get_by_role("switch", name="Show resnet-1")).to_have_attribute("aria-checked", "false")
    expect(again.locator("section.section").first).to_have_attribute("aria-label", "Pinned")


def test_a_panel_is_saved_as_paths_and_as_numbers(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/vision?smooth=0.5").page
    chart(page, "train/loss")
    name, text = saved(page, "train/loss", "SVG")
    assert name == "train_loss.svg"
    drawn = ElementTree.fromstring(text)
    paths = drawn.findall(".//{http://www.w3.org/2000/svg}path")
    assert sum(1 for path in paths if path.get("stroke-width") == "1.5") == RUNS + 1
    assert "resnet-0" in text and "Infinity" not in text
    name, text = saved(page, "train/loss", "CSV")
    assert name == "train_loss.csv" and text.startswith("run,note,step,x,mean")
    page.goto("/main/hostile?on=hostile-0&on=hostile-1")
    metric = page.locator("article.panel").first.get_attribute("aria-label") or ""
    chart(page, metric)
    _, text = saved(page, metric, "SVG")
    harmless = {"svg", "title", "clipPath", "rect", "text", "path", "g", "circle"}
    assert {one.tag.rpartition("}")[2] for one in ElementTree.fromstring(text).iter()} <= harmless


def test_a_panel_fills_the_screen_and_escape_closes_it(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/vision").page
    chart(page, "train/loss")
    panel(page, "train/loss").hover()
    page.get_by_role("button", name="train/loss on the full screen").click()
    expect(page.get_by_role("dialog", name="train/loss").locator(".chart")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page).not_to_have_url(re.compile("full="))


def test_a_live_run_grows_without_reload(server: Server, visit: Callable[..., Visitor], tmp_path: Path) -> None:
    visitor = visit()
    visitor.tolerant = True  # of the 404 of a project that is not there yet
    page = visitor.page
    page.goto("/main/moving")
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()
    job = server.train("live", "moving", str(tmp_path))
    try:
        with page.expect_request(lambda request: "WatchRuns" in request.url, timeout=30_000):
            expect(chart(page, "train/loss")).to_be_visible(timeout=20_000)
        expect(page.get_by_text("running").first).to_be_attached()
        before = last_step(page)
        for _ in range(2):
            page.wait_for_event("response", lambda answer: "GetCurves" in answer.url)
        page.wait_for_timeout(100)  # a frame
        assert last_step(page) > before + 20
    finally:
        (tmp_path / "stop").touch()
        assert job.wait(60) == 0
    expect(page.locator(".run-list .state.good")).to_be_attached(timeout=15_000)


def last_step(page: Page) -> int:
    found = chart(page, "train/loss")
    found.locator(".u-over").hover(position={"x": 5, "y": 60})
    box = found.locator(".u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] - 1, box["y"] + 60)
    text = panel(page, "train/loss").locator(".tip p").first.inner_text()
    return int(re.sub(r"[^0-9]", "", text))


def test_strange_curves_are_drawn(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/shapes", height=2400).page
    for metric in ("one/point", "some/infinite", "very/small", "very/large", "far/apart", "all/negative"):
        chart(page, metric)
    expect(panel(page, "only/nan")).to_contain_text("Only NaN or infinite values")
    page.keyboard.press("l")
    expect(panel(page, "all/negative")).to_contain_text("No value is positive")


def test_a_phone_sees_everything_without_scrolling_sideways(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/vision", width=390, height=844).page
    chart(page, "epoch")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name=re.compile("of 7 runs")).click()
    expect(page.get_by_role("complementary", name="Runs")).to_be_visible()
    page.get_by_role("button", name="Close the list").click()
    expect(page.get_by_role("complementary", name="Runs")).to_have_count(0)


def test_the_server_goes_and_comes_back(server: Server, visit: Callable[..., Visitor]) -> None:
    visitor = visit("/main/vision")
    page = visitor.page
    chart(page, "train/loss")
    visitor.tolerant = True
    start = server.restart_query()
    expect(page.get_by_role("status").filter(has_text="has not answered")).to_be_visible(timeout=20_000)
    expect(panel(page, "train/loss").locator(".chart")).to_be_visible()
    start()
    expect(page.get_by_text("has not answered")).to_have_count(0)
