"""Sweeps, the runs of a project explored, and API keys, in the browser: a real sweep by a real agent."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import ROOT, Server, Visitor
from tests.browser.searches import WORDS
from tests.browser.test_access import AXE, serious
from tests.browser.test_hostile import CORPUS, check_harmless
from tests.support.long import long

AT_FIRST, COUNT = 8, 10
"""Trials before the agent waits to be let go on, and all."""


@dataclass(frozen=True, slots=True)
class Search:
    sweep: str
    go_on: Path
    agent: subprocess.Popen[str]

    @property
    def path(self) -> str:
        return f"/main/search/sweeps/{self.sweep}"


@pytest.fixture(scope="module")
def search(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Search]:
    """A sweep whose agent runs some trials, and waits within the next one."""
    go_on = tmp_path_factory.mktemp("search") / "go-on"
    options = ["--wait", str(go_on), "--after", str(AT_FIRST), "--name", CORPUS[1]]
    command = [sys.executable, "-m", "tests.browser.searches", "search", str(COUNT), *options]
    agent = subprocess.Popen(
        command, env=server.environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert agent.stdout is not None
    yield Search(agent.stdout.readline().strip(), go_on, agent)
    go_on.touch()
    agent.wait(60)
    agent.stdout.close()


def ask(visitor: Visitor, method: str, **fields: object) -> dict[str, object]:
    """As the page would."""
    answer = visitor.context.request.post(f"/api/v1/{method}", data=fields, headers={"x-runstream-page": "1"})
    assert answer.ok, answer.text()
    return dict(answer.json())


def card(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def test_a_sweep_is_shown_while_it_runs_and_grows_by_itself(search: Search, visit: Callable[..., Visitor]) -> None:
    page = visit("/main/search/sweeps").page
    page.get_by_role("link", name=CORPUS[1]).click()
    progress = card(page, "Progress")
    expect(progress).to_contain_text(f"{AT_FIRST} of {COUNT} trials", timeout=40_000)
    expect(progress).to_contain_text("1 running")
    expect(progress).to_contain_text("1 active agent")
    expect(card(page, "Best val/loss so far").locator("canvas")).to_be_visible()
    expect(card(page, "What matters for val/loss").get_by_role("row")).to_have_count(6)
    search.go_on.touch()
    expect(progress).to_contain_text(f"{COUNT} of {COUNT} trials")
    expect(page.locator(".run-head .state")).to_have_text("finished")
    trials = card(page, "Table of trials")
    expect(trials.locator("tbody tr")).to_have_count(COUNT)
    page.get_by_label("Trials in this state").select_option("failed")
    expect(trials.locator("tbody tr")).to_have_count(1)
    expect(trials).to_contain_text(WORDS)
    check_harmless(page)


def test_the_best_leads_to_its_run_and_is_ready_to_copy(search: Search, visit: Callable[..., Visitor]) -> None:
    search.go_on.touch()
    visitor = visit(f"{search.path}?k=5")
    page = visitor.page
    best = ask(visitor, "GetBestTrials", sweep=search.sweep)["trials"][0]  # type: ignore[index]
    expect(card(page, "The best trials").locator("tbody tr")).to_have_count(5)
    first = card(page, "The best trials").locator("tbody tr").first
    expect(first).to_contain_text(f"trial {best['number']}")
    page.get_by_role("button", name="Copy best configuration").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    parameters = json.loads(best["parameters_json"])
    assert f"lr: {parameters['lr']}" in copied and f"  depth: {parameters['model']['depth']}" in copied
    first.get_by_role("link").click()
    expect(page).to_have_url(re.compile(f"/runs/{best['run']}$"))
    page.get_by_role("link", name="Overview").click()
    page.get_by_role("link", name=search.sweep, exact=True).click()
    expect(page).to_have_url(re.compile(f"{search.path}$"))


def test_ranges_on_axes_choose_trials_and_are_in_the_url(search: Search, visit: Callable[..., Visitor]) -> None:
    search.go_on.touch()
    page = visit(search.path).page
    axis = page.locator(".brush .overlay").first
    expect(axis).to_be_visible()
    axis.scroll_into_view_if_needed()
    box = axis.bounding_box()
    assert box is not None
    x = box["x"] + box["width"] / 2
    page.mouse.move(x, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(x, box["y"] + box["height"] * 0.7)
    page.mouse.move(x, box["y"] + box["height"])
    page.mouse.up()
    expect(page).to_have_url(re.compile("brush=config.batch_size:1[56]"))
    told = page.get_by_role("button", name=re.compile(r"^\d+ of \d+ trials$"))
    chosen = int(told.inner_text().split()[0])
    assert 0 < chosen < COUNT
    expect(card(page, "Table of trials").locator("tbody tr")).to_have_count(chosen)
    page.get_by_role("button", name="log axis of lr").click()
    page.get_by_label("Horizontal axis").select_option("dropout")
    page.get_by_title("Sort by lr").click()
    again = visit(page.url).page
    expect(again.get_by_role("button", name=f"{chosen} of {COUNT} trials")).to_be_visible()
    expect(again.get_by_role("button", name="log axis of lr")).to_have_attribute("aria-pressed", "false")
    expect(again.get_by_label("Horizontal axis")).to_have_value("config.dropout")
    expect(again.locator(".trial-table th[aria-sort=ascending]")).to_have_text("lr")
    told.click()
    expect(page).not_to_have_url(re.compile("brush="))


def test_ranges_are_chosen_without_a_pointer(search: Search, visit: Callable[..., Visitor]) -> None:
    search.go_on.touch()
    page = visit().page
    page.add_init_script(AXE.read_text(encoding="utf-8"))
    page.goto(search.path)
    expect(page.locator(".brush .overlay").first).to_be_visible()
    page.get_by_role("button", name="Ranges").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Ranges")
    low = dialog.get_by_role("spinbutton", name="lr: from", exact=True)
    low.focus()
    page.keyboard.type("0.5")
    page.keyboard.press("Tab")
    page.keyboard.type("0.01")
    expect(dialog.get_by_role("alert")).to_have_text("The lower limit is greater than the upper limit")
    assert not serious(page, [])
    low.fill("0.001")
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    expect(page).to_have_url(re.compile(r"brush=config\.lr:0\.001:0\.01"))
    expect(page.get_by_role("button", name=re.compile(rf"^\d+ of {COUNT} trials$"))).to_be_visible()
    page.get_by_role("button", name="Ranges").click()
    expect(low).to_have_value("0.001")
    dialog.get_by_role("button", name="Clear all").click()
    dialog.get_by_role("button", name="Apply").click()
    expect(page).not_to_have_url(re.compile("brush="))


def made(visitor: Visitor, project: str, definition: dict[str, object]) -> str:
    sweep = ask(visitor, "CreateSweep", project=project, definition_json=json.dumps(definition))
    return str(sweep["id"])


def test_orders_are_taken_back_or_asked_about_first(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.page
    sweep = made(visitor, "ordered", {"method": "random", "program": "t.py", "parameters": {"x": {"min": 0, "max": 9}}})
    page.goto(f"/main/ordered/sweeps/{sweep}")
    expect(page.get_by_label("commands that start an agent", exact=True)).to_contain_text(
        f"runstream agent main/ordered/{sweep}"
    )
    state = page.locator(".run-head .state")
    page.get_by_role("button", name="Pause").click()
    expect(state).to_have_text("paused")
    page.get_by_role("button", name="Undo").click()
    expect(state).to_have_text("waiting for agents")
    page.get_by_role("button", name="Stop").click()
    expect(state).to_have_text("finished")
    page.get_by_role("button", name="Resume").click()
    expect(state).to_have_text("waiting for agents")
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Keep it").click()
    expect(state).to_have_text("waiting for agents")
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Cancel the sweep").click()
    expect(state).to_have_text("cancelled")
    expect(page.get_by_role("button", name="Resume")).to_have_count(0)
    page.get_by_role("button", name="More about this sweep").click()
    page.get_by_role("button", name="Delete this sweep…").click()
    page.get_by_role("button", name="Delete the sweep").click()
    expect(page.get_by_role("heading", name="Create your first sweep")).to_be_visible()
    visitor.tolerant = True  # the 404 is wanted
    page.goto(f"/main/ordered/sweeps/{sweep}")
    expect(page.get_by_role("heading", name="Sweep not found")).to_be_visible()


@long
def test_thousands_of_trials_of_two_metrics_with_hostile_names(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.page
    page.on("dialog", lambda dialog: visitor.complaints.append(f"a dialog: {dialog.message}"))
    names = ["__proto__", "constructor", "toString", "a-b", "c_d"]
    parameters: dict[str, object] = {name: {"min": 0.0, "max": 1.0} for name in names}
    parameters["text"] = {"values": CORPUS}
    metrics = [{"name": CORPUS[0], "goal": "maximize"}, {"name": CORPUS[2]}]
    sweep = made(visitor, "wide", {"name": CORPUS[6], "method": "random", "metrics": metrics, "parameters": parameters})
    for part in range(2):
        trials = [
            {
                "parameters_json": json.dumps(
                    {**{name: (n * (at + 3) % 97) / 97 for at, name in enumerate(names)}, "text": CORPUS[n % 12]}
                ),
                "values": [(n * 7919 % 1009) / 1009, "NaN" if n % 50 == 0 else (n * 104729 % 1013) / 1013],
            }
            for n in range(part * 1000, part * 1000 + 1000)
        ]
        ask(visitor, "AddTrials", sweep=sweep, trials=trials)
    page.goto(f"/main/wide/sweeps/{sweep}")
    front = ask(visitor, "GetBestTrials", sweep=sweep)["trials"]
    expect(page.locator(".top-table tbody tr")).to_have_count(10)
    expect(page.locator(".place", has_text="●")).to_have_count(min(len(front), 10))  # type: ignore[arg-type]
    expect(card(page, "Trials").get_by_text("2,000 trials")).to_be_visible()
    assert page.locator(".trial-table tbody tr").count() < 60, "only what is seen is made"
    for name in (*names, CORPUS[0], CORPUS[2]):
        expect(page.locator(".axis-head").get_by_title(name, exact=True)).to_be_visible()
    check_harmless(page)
    axis = page.locator(".brush .overlay").nth(1)
    axis.scroll_into_view_if_needed()
    box = axis.bounding_box()
    assert box is not None
    page.evaluate(
        """() => { window.frames_ms = []; let last = performance.now();
            const tick = now => { window.frames_ms.push(now - last); last = now; requestAnimationFrame(tick); };
            requestAnimationFrame(tick); }"""
    )
    x = box["x"] + box["width"] / 2
    page.mouse.move(x, box["y"] + 10)
    page.mouse.down()
    for step in range(20):
        page.mouse.move(x, box["y"] + 10 + step * 10)
    page.mouse.up()
    frames = sorted(page.evaluate("window.frames_ms"))
    assert frames[len(frames) // 2] < 100, f"the median frame took {frames[len(frames) // 2]:.0f} ms"
    expect(page).to_have_url(re.compile("brush="))
    check_harmless(page)


def test_runs_of_any_kind_are_explored(visit: Callable[..., Visitor]) -> None:
    page = visit("/main/vision/explore?obj=val/accuracy&obj2=train/loss").page
    expect(card(page, "What matters for val/accuracy").get_by_role("row").nth(1)).to_be_visible()
    expect(page.get_by_role("button", name="val/accuracy: larger is better")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("^Pareto front"))).to_be_visible()
    expect(page.locator(".axis-head").filter(has_text="val/accuracy")).to_be_visible()
    page.get_by_label("Search runs").fill("resnet-1")
    expect(page.locator(".table-tools").get_by_text("1 run", exact=True)).to_be_visible()
    page.get_by_label("Search runs").fill("no such run")
    page.get_by_role("button", name="Clear search and filters").click()
    page.get_by_role("button", name="Axes").click()
    page.get_by_role("dialog").get_by_label("config.augment").uncheck()
    expect(page).to_have_url(re.compile("axis="))
    page.goto("/main/hostile/explore?" + "&".join(f"sx=config.{text}" for text in CORPUS[:1]))
    expect(card(page, "Parallel coordinates")).to_be_visible()
    check_harmless(page)


def test_keys_are_made_shown_once_and_revoked(visit: Callable[..., Visitor]) -> None:
    visitor = visit("/main/vision")
    page = visitor.page
    page.get_by_role("button", name=re.compile("^Account of")).click()
    page.get_by_role("button", name="My API keys").click()
    expect(page.get_by_text("this session", exact=True)).to_be_visible()
    page.get_by_label("Purpose").fill(CORPUS[1])
    page.get_by_label("Valid for").select_option("one day")
    page.get_by_role("button", name="Create a key").click()
    secret = page.get_by_role("dialog").get_by_label("API key", exact=True).inner_text()
    answer = visitor.context.request.post("/api/v1/WhoAmI", data={}, headers={"authorization": f"Bearer {secret}"})
    assert answer.ok and answer.json()["user"] == "tester"
    page.get_by_role("button", name="I have copied it").click()
    row = page.get_by_role("row").filter(has_text=CORPUS[1])
    expect(row).to_contain_text("until")
    assert secret not in page.content()
    check_harmless(page)
    row.get_by_role("button", name=f"Revoke {CORPUS[1]}").click()
    page.get_by_role("button", name="Keep it").click()
    row.get_by_role("button", name=f"Revoke {CORPUS[1]}").click()
    page.get_by_role("button", name="Revoke the key").click()
    expect(row).to_have_count(0)
    page.get_by_label("Show expired and revoked keys").check()
    expect(row).to_contain_text("revoked")


def test_the_views_are_accessible_and_fit_a_phone(search: Search, visit: Callable[..., Visitor]) -> None:
    views = {search.path: ".importance", "/main/search/sweeps": ".sweep-table", "/~/keys": ".plain-table"}
    views["/main/vision/explore"] = ".importance"
    found = []
    for dark, width in ((False, 1440), (True, 390)):
        page = visit(dark=dark, width=width).page
        page.add_init_script(AXE.read_text(encoding="utf-8"))
        for path, sign in views.items():
            page.goto(path)
            expect(page.locator(sign).first).to_be_visible()
            found += [f"{path}: {one}" for one in serious(page, ["color-contrast"] if dark else [])]
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    assert not found, "\n".join(found)


def test_who_may_only_read_is_offered_no_orders(viewer: str, search: Search, visit: Callable[..., Visitor]) -> None:
    visitor = visit(logged_in=False).log_in(viewer)
    page = visitor.page
    with page.expect_response(lambda answer: "GetAccount" in answer.url):
        page.goto(search.path)
    expect(card(page, "Progress")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Pause|Resume|Stop|Cancel"))).to_have_count(0)
