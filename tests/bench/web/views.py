"""What is measured at a seeded project: the bundle, the first view, the workspace, hovering."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Page

from tests.bench.web.chromium import Chromium, summary

RUNS, PANELS = 20, 50
TALL = 6000
"""Pixels in which all panels are on the screen."""
QUIET_MS = 1500
MOVES, MOVE_PX = 400, 2.5

_CHARTS = """(() => {
  const all = [...document.querySelectorAll(".panel")];
  const panels = all.filter((one) => one.getBoundingClientRect().top < innerHeight);
  return panels.length > 0 && panels.every((one) => one.querySelector(".u-wrap canvas"));
})()"""
_ROWS = 'document.querySelectorAll(".name-cell").length >= 15'
_ALL_PANELS = (
    f"""document.querySelectorAll('.chart[aria-label$=": {RUNS} curves"] .u-wrap canvas').length >= {PANELS}"""
)
_VIEWS = {"charts": ("/main/wide", _CHARTS), "table": ("/main/wide/table", _ROWS)}

_FRAMES = """() => {
window.frames_seen = [];
const channel = new MessageChannel();
let began = 0, before = 0, moved = 0;
channel.port1.onmessage = () => {
  const now = performance.now();
  if (moved) window.frames_seen.push([now - began, now - moved, began - before]);
  [before, moved] = [began, 0];
};
addEventListener("pointermove", (event) => (moved ||= event.timeStamp), { capture: true, passive: true });
requestAnimationFrame(function frame(now) {
  began = now;
  channel.port2.postMessage(null); // comes after this frame was painted
  requestAnimationFrame(frame);
});
}"""
"""Of frames in which the pointer moved: milliseconds from the frame's begin until drawn, from the event until drawn,
since the frame before."""


def bundle(chromium: Chromium, _times: int) -> dict[str, Any]:
    sizes = {}
    for name, (path, ready) in {"home": ("/", "document.querySelector('main table')"), **_VIEWS}.items():
        with chromium.page(ready=ready) as page:
            _open(page, path)
            page.wait_for_timeout(500)  # what is fetched ahead counts, too
            sizes[name] = page.evaluate(
                """() => performance.getEntriesByType("resource").filter((one) => one.name.includes("/api/page/"))
                .concat(performance.getEntriesByType("navigation"))
                .reduce((sum, one) => sum + one.encodedBodySize, 0)"""
            )
    found = {name: round(size / 1024, 1) for name, size in sizes.items()}
    return {"bundle_kb": max(found.values()), "bundle": found}


def project(chromium: Chromium, times: int) -> dict[str, Any]:
    found = {}
    for name, (path, ready) in _VIEWS.items():
        seconds, cpu = [], []
        for _ in range(times):
            with chromium.page(ready=ready) as page, chromium.cpu_ms() as used:
                seconds.append(_open(page, path))
            cpu.append(used)
        found[name] = summary(seconds, cpu)
    return {"project_interactive_s": max(one["p50"] for one in found.values()), "project": found}


def workspace(chromium: Chromium, times: int) -> dict[str, Any]:
    found = {}
    for name, height, ready in (("all", TALL, _ALL_PANELS), ("screen", 900, _CHARTS)):
        seconds, cpu = [], []
        for _ in range(times):
            with chromium.page(height=height, ready=ready) as page, chromium.cpu_ms() as used:
                seconds.append(_open(page, _address(), painted=True))
                _check_ink(page)
            cpu.append(used)
        found[name] = summary(seconds, cpu)
    return {"workspace_s": found["all"]["p50"], "workspace": found}


def hover(chromium: Chromium, _times: int) -> dict[str, Any]:
    found = {"screen": _hover(chromium, 900, _CHARTS), "all": _hover(chromium, TALL, _ALL_PANELS)}
    return {"hover_ms": found["screen"]["p95"], "hover": found}


def _hover(chromium: Chromium, height: int, ready: str) -> dict[str, Any]:
    with chromium.page(height=height, ready=ready) as page:
        _open(page, _address())
        box = page.locator(".panel .u-over").nth(4).bounding_box()
        assert box is not None
        page.mouse.move(box["x"], box["y"] + 20)
        page.evaluate(_FRAMES)
        with chromium.cpu_ms() as used:
            for move in range(MOVES):
                # There and back again, so that every move changes what is shown.
                x = MOVE_PX * move % (2 * box["width"])
                y = box["height"] * (0.2 + 0.6 * move / MOVES)
                page.mouse.move(box["x"] + min(x, 2 * box["width"] - x), box["y"] + y)
            frames = page.evaluate("() => frames_seen.slice(5)")
        panels = page.locator(".panel .u-wrap").count()
        assert page.locator(".crosshair:visible").count() >= panels - 1
    drawn, since_event, between = zip(*frames, strict=True)
    return {
        **summary(drawn),
        "panels": panels,
        "from_event_ms": summary(since_event),
        "between_frames_ms": summary(between),
        "cpu_ms_a_frame": {name: round(ms / len(frames), 1) for name, ms in used.items()},
    }


def _address() -> str:
    """The oldest runs: they have the long curves."""
    runs = [("run", f"run-{number:06}") for number in range(RUNS)]
    return "/main/wide?" + urlencode([("sort", "created_at"), ("q", "^group-[0-4]/"), *runs])


def _open(page: Page, path: str, painted: bool = False) -> float:
    """Seconds until it is interactive; with `painted`, until what was waited for is on the screen."""
    page.goto(path)
    end = float(page.evaluate("() => bench.done"))
    if painted:
        return end / 1000
    page.wait_for_timeout(QUIET_MS)
    long = page.evaluate("() => bench.long")
    for begin, until in sorted(long):
        if begin - end < QUIET_MS / 2:
            end = max(end, until)
    return end / 1000


def _check_ink(page: Page) -> None:
    """Every canvas on the screen holds a picture, or the time says nothing."""
    blank = page.evaluate(
        """() => [...document.querySelectorAll(".panel .u-wrap canvas")].filter((canvas) => {
            const { data } = canvas.getContext("2d").getImageData(0, canvas.height / 2, canvas.width, 1);
            return !data.some((value) => value > 0);
        }).length"""
    )
    assert blank == 0, f"{blank} panels are blank"
