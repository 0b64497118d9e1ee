"""A headless Chromium in front of a stack, and what it tells of itself."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import BrowserContext, Page, Playwright

from tests.bench.meters import CpuMeter
from tests.support.stack import ServiceStack

WATCH = """
window.bench = { ready: null, long: [] };
bench.done = new Promise((resolve, reject) => {
  (function look() {
    if (!document.body || !(%s)) return requestAnimationFrame(look);
    requestAnimationFrame(() => setTimeout(() => resolve((window.bench.ready = performance.now()))));
  })();
  setTimeout(() => reject(new Error("what was waited for did not come")), 60000);
});
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) window.bench.long.push([one.startTime, one.startTime + one.duration]);
}).observe({ type: "longtask", buffered: true });
"""
"""Looks once a frame whether what is waited for is there; the frame after it has been painted."""


SETTLE_MS = 700
"""A new window draws its own frame (tabs, address bar) first."""


class Chromium:
    def __init__(self, playwright: Playwright, stack: ServiceStack) -> None:
        self.stack = stack
        self._browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            # The sandbox needs what root in a container does not have; the pages are our own.
            args=["--no-sandbox", "--enable-precise-memory-info", "--js-flags=--expose-gc"],
        )
        self._about = self._browser.new_browser_cdp_session()

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        self._browser.close()

    @contextmanager
    def page(self, width: int = 1440, height: int = 900, ready: str = "") -> Iterator[Page]:
        """Logged in, its cache empty; `ready`: what is waited for after each navigation, JavaScript."""
        context: BrowserContext = self._browser.new_context(
            viewport={"width": width, "height": height}, base_url=f"http://{self.stack.address('http')}"
        )
        try:
            headers = {"x-runstream-page": "1"}
            answer = context.request.post("/api/session", data={"key": self.stack.key}, headers=headers)
            assert answer.ok, answer.text()
            if ready:
                context.add_init_script(WATCH % ready)
            page = context.new_page()
            page.wait_for_timeout(SETTLE_MS)
            yield page
        finally:
            context.close()

    def warm_up(self, path: str) -> None:
        """The service's code and the engine's caches are loaded; the browser's are not kept."""
        with self.page() as page:
            page.goto(path)
            page.wait_for_timeout(3000)

    @contextmanager
    def cpu_ms(self) -> Iterator[dict[str, float]]:
        """CPU time that all parts use within, milliseconds; filled in at the end."""
        used: dict[str, float] = {}
        pids = {"query": self.stack.services["query"].pid, "clickhouse": self.stack.clickhouse.service.pid}
        meter, before = CpuMeter(pids), self._browser_s()
        yield used
        after = self._browser_s()
        used["browser"] = round(sum(after[pid] - before.get(pid, 0.0) for pid in after) * 1000)
        used |= {name: round(seconds * 1000) for name, seconds in meter.used().items()}

    def _browser_s(self) -> dict[int, float]:
        processes = self._about.send("SystemInfo.getProcessInfo")["processInfo"]
        return {one["id"]: one["cpuTime"] for one in processes}


def summary(values: Sequence[float], cpu: Sequence[dict[str, float]] = ()) -> dict[str, Any]:
    """p50 and p95; with `cpu`, medians of it."""
    ordered = sorted(values)
    found: dict[str, Any] = {
        "p50": round(statistics.median(ordered), 3),
        "p95": round(ordered[min(int(len(ordered) * 0.95), len(ordered) - 1)], 3),
        "times": len(ordered),
    }
    if cpu:
        found["cpu_ms"] = {name: statistics.median(one[name] for one in cpu) for name in cpu[0]}
    return found
