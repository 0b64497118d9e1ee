"""Memory of the page over an hour of live updates.

Three runs go on, in eight charts; the hour has one update of all charts a second, as the page paces them, and a new
list of runs every two. It is played faster, four to five updates a second where nothing else runs: the service looks
for news every 50 ms (`service.py`), the page's timers run four and ten times as fast. What the page fetches is counted,
so that as many updates are drawn as in that hour. The heap (JavaScript's and the browser's own objects, and the columns
of numbers) is measured after forced garbage collections: after the first 5 % of the updates, and at the end.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from tests.bench.web.chromium import Chromium
from tests.support.stack import ServiceStack, clean_environment

ROOT = Path(__file__).resolve().parents[3]
RUNS, METRICS = 3, 8
HOUR_UPDATES = 3600
"""Of each chart: one a second."""
_FASTER = """
window.counts = { panels: 0, lists: 0, events: 0 };
const plainTimeout = window.setTimeout, plainInterval = window.setInterval, plainFetch = window.fetch;
const faster = (ms) => (ms >= 1500 ? ms / 4 : ms >= 200 ? ms / 10 : ms); // polls; the charts' pace; the rest
window.setTimeout = (act, ms, ...rest) => plainTimeout(act, faster(ms), ...rest);
window.setInterval = (act, ms, ...rest) => plainInterval(act, faster(ms), ...rest);
window.fetch = (url, options) => {
  if (String(url).endsWith("/GetCurves")) counts.panels += JSON.parse(options.body).metrics.length;
  if (String(url).endsWith("/ListRuns")) counts.lists++;
  return plainFetch(url, options);
};
window.EventSource = class extends EventSource {
  constructor(url) {
    super(url);
    this.addEventListener("message", () => counts.events++);
  }
};
"""


def measure(folder: Path, quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """`quick`: two minutes of the hour."""
    stack = ServiceStack(folder)
    stack.extra = {"RUNSTREAM_WRITER_MAX_AGE_S": "0.2"}  # the engine is to spend itself on answers, not on inserts
    stack.start(query=False)
    feeds: list[subprocess.Popen[bytes]] = []
    try:
        stack.start_service("query", "tests.bench.web.service", "query_ops")
        say("starting runs")
        feeds = _feed(stack, folder)
        with sync_playwright() as playwright, Chromium(playwright, stack) as chromium, chromium.page() as page:
            say(f"measuring: memory over {HOUR_UPDATES // (30 if quick else 1)} updates")
            return _watched(chromium, page, HOUR_UPDATES // (30 if quick else 1))
    finally:
        (folder / "stop").touch()
        for feed in feeds:
            feed.wait(90)
        stack.stop()


def _feed(stack: ServiceStack, folder: Path) -> list[subprocess.Popen[bytes]]:
    environment = {**clean_environment(), **stack.sdk_environment(folder / "spool"), "PYTHONPATH": str(ROOT)}
    names = [f"run-{number}" for number in range(RUNS)]
    command = [sys.executable, "-m", "tests.bench.web.feed", "live"]
    feeds = [
        subprocess.Popen([*command, name, str(METRICS), str(folder)], env=environment, cwd=ROOT, stdout=sys.stderr)
        for name in names
    ]
    deadline = time.monotonic() + 120
    while not all((folder / f"{name}.ready").exists() for name in names):
        assert time.monotonic() < deadline and all(feed.poll() is None for feed in feeds), "the runs did not start"
        time.sleep(0.2)
    time.sleep(5)  # and what they logged is stored
    return feeds


def _watched(chromium: Chromium, page: Page, updates: int) -> dict[str, Any]:
    page.add_init_script(_FASTER)
    page.goto("/main/live")
    page.locator(".panel .chart").nth(METRICS - 1).wait_for()
    page.mouse.move(700, 450)
    warm = max(updates // 20, 20)
    started = time.monotonic()
    samples: list[dict[str, float]] = []
    with chromium.cpu_ms() as used:
        for wanted in (warm, *(warm + (updates - warm) * part // 4 for part in range(1, 5))):
            seen = _wait(page, wanted)
            samples.append({"updates": round(seen["panels"] / METRICS), **_heap(page)})
    first, last = samples[0], samples[-1]
    return {
        "memory_growth": round(last["mb"] / first["mb"] - 1, 4),
        "memory": {
            "updates": last["updates"],
            "events": seen["events"],
            "lists_of_runs": seen["lists"],
            "updates_a_second": round(last["updates"] / (time.monotonic() - started), 1),
            "samples": samples,
            "cpu_ms_an_update": {name: round(ms / last["updates"], 1) for name, ms in used.items()},
        },
    }


def _wait(page: Page, updates: int) -> dict[str, int]:
    """Until each chart was fetched so often. Raises AssertionError where that stops."""
    best, since = -1, time.monotonic()
    while True:
        counts: dict[str, int] = page.evaluate("() => counts")
        if counts["panels"] >= updates * METRICS:
            return counts
        if counts["panels"] > best:
            best, since = counts["panels"], time.monotonic()
        assert time.monotonic() - since < 30, f"no update for 30 s, {counts} until then"
        page.wait_for_timeout(250)


def _heap(page: Page) -> dict[str, float]:
    """Megabytes after garbage collection, and how many DOM nodes and listeners there are."""
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable")
    for _ in range(3):
        cdp.send("HeapProfiler.collectGarbage")
    usage = cdp.send("Runtime.getHeapUsage")
    found = {one["name"]: one["value"] for one in cdp.send("Performance.getMetrics")["metrics"]}
    cdp.detach()
    parts = {
        "js_mb": usage["usedSize"],
        "browser_mb": usage.get("embedderHeapUsedSize", 0),
        "columns_mb": usage.get("backingStorageSize", 0),
    }
    sizes = {name: round(size / 2**20, 3) for name, size in parts.items()}
    return {
        "mb": round(sum(sizes.values()), 3),
        **sizes,
        "nodes": found["Nodes"],
        "listeners": found["JSEventListeners"],
    }
