"""Memory of the page over an hour of live updates.

Three runs go on, in eight charts; the hour has one update of all charts a second, as the page paces them, and a new
list of runs every two. It is played faster, about five updates a second where nothing else runs (the engine is what
takes the time): the runs log five steps a second, the service looks for news every 50 ms (`service.py`), the page's
timers run four and twenty times as fast. All the rest is as in earnest: each update is told by the stream of events,
asked for and drawn, and what the page fetches is counted. So it is 3600 updates of each chart, after `SETTLED` others.

The heap is JavaScript's, the browser's own objects of the page, and the columns of numbers, after forced garbage
collections. Its baseline is taken when `SETTLED` updates were drawn: by then what is of bounded size is full
(Chromium's list of 250 resource timings; compiled code). A reading is the least of five, as an answer may be on its
way; columns of numbers are 150 to 300 buckets long, so readings still differ by 3 %: the growth is from the median of
three in the first 5 % to that of three in the last 5 %.

The browser is driven without Playwright, whose Network domain remembers every request: see `devtools`.
`--quick` plays 120 updates: too few to tell growth, so `memory_growth` is null and only the readings are shown.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.meters import CpuMeter
from tests.bench.web.devtools import Devtools
from tests.support.stack import ServiceStack, clean_environment

ROOT = Path(__file__).resolve().parents[3]
RUNS, METRICS = 3, 8
HOUR_UPDATES, QUICK_UPDATES = 3600, 120
"""Of each chart: one a second."""
SETTLED, QUICK_SETTLED = 200, 40
READINGS = (0.0, 0.025, 0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 0.975, 1.0)
"""Shares of the hour at which the heap is read."""
_FASTER = """
window.counts = { panels: 0, lists: 0, events: 0 };
const plainTimeout = window.setTimeout, plainInterval = window.setInterval, plainFetch = window.fetch;
const faster = (ms) => (ms >= 1500 ? ms / 4 : ms >= 200 ? ms / 20 : ms); // polls; the charts' pace; the rest
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
    updates, settled = (QUICK_UPDATES, QUICK_SETTLED) if quick else (HOUR_UPDATES, SETTLED)
    stack = ServiceStack(folder)
    stack.extra = {"RUNSTREAM_WRITER_MAX_AGE_S": "0.1"}  # one insert an update: more only cost the engine
    stack.start(query=False)
    feeds: list[subprocess.Popen[bytes]] = []
    try:
        stack.start_service("query", "tests.bench.web.service", "query_ops")
        say("starting runs")
        feeds = _feed(stack, folder)
        with Devtools(folder) as page:
            say(f"measuring: memory over {updates} updates")
            found = _watched(stack, page, settled, updates)
        return {"memory_growth": None if quick else found["growth"], "memory": found}
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


def _watched(stack: ServiceStack, page: Devtools, settled: int, updates: int) -> dict[str, Any]:
    _open(stack, page)
    pids = {"query": stack.services["query"].pid, "clickhouse": stack.clickhouse.service.pid}
    meter, browser_s, started = CpuMeter(pids), _browser_s(page), time.monotonic()
    readings: list[dict[str, float]] = []
    for share in READINGS:
        seen = _wait(page, settled + round(updates * share))
        readings.append({"updates": round(seen["panels"] / METRICS), **_least_heap(page)})
    drawn = readings[-1]["updates"]
    cpu = {"browser": _browser_s(page) - browser_s, **meter.used()}
    first, last = (statistics.median(one["mb"] for one in part) for part in (readings[:3], readings[-3:]))
    return {
        "growth": round(last / first - 1, 4),
        "first_mb": first,
        "last_mb": last,
        "updates": drawn - readings[0]["updates"],
        "events": seen["events"],
        "lists_of_runs": seen["lists"],
        "updates_a_second": round(drawn / (time.monotonic() - started), 1),
        "readings": readings,
        "cpu_ms_an_update": {name: round(seconds * 1000 / drawn, 1) for name, seconds in cpu.items()},
    }


def _open(stack: ServiceStack, page: Devtools) -> None:
    """The project's charts, logged in, all drawn, the pointer over one of them."""
    home = f"http://{stack.address('http')}"
    page.send("Page.navigate", url=home)
    page.wait("location.protocol === 'http:' && document.readyState === 'complete'")
    body = json.dumps({"key": stack.key})
    headers = '{"x-runstream-page": "1", "content-type": "application/json"}'
    status = page.evaluate(
        f"fetch('/api/session', {{method: 'POST', headers: {headers}, body: '{body}'}}).then((one) => one.status)"
    )
    assert status == 200, f"logging in was answered with {status}"
    page.send("Page.addScriptToEvaluateOnNewDocument", source=_FASTER)
    page.send("Page.navigate", url=f"{home}/main/live")
    page.wait(f"document.querySelectorAll('.panel .u-over').length >= {METRICS}")
    page.send("Input.dispatchMouseEvent", type="mouseMoved", x=700, y=450)


def _wait(page: Devtools, updates: int) -> dict[str, int]:
    """Until each chart was fetched so often. Raises AssertionError where that stops."""
    best, since = -1, time.monotonic()
    while True:
        counts: dict[str, int] = page.evaluate("counts")
        if counts["panels"] >= updates * METRICS:
            return counts
        if counts["panels"] > best:
            best, since = counts["panels"], time.monotonic()
        assert time.monotonic() - since < 30, f"no update for 30 s, {counts} until then"
        time.sleep(0.25)


def _browser_s(page: Devtools) -> float:
    """CPU time of all its processes, seconds."""
    return sum(float(one["cpuTime"]) for one in page.browser("SystemInfo.getProcessInfo")["processInfo"])


def _least_heap(page: Devtools) -> dict[str, float]:
    found = [_heap(page)]
    for _ in range(4):
        time.sleep(0.07)
        found.append(_heap(page))
    return min(found, key=lambda one: one["mb"])


def _heap(page: Devtools) -> dict[str, float]:
    """Megabytes after garbage collection, and how many DOM nodes and listeners there are."""
    page.send("Performance.enable")
    for _ in range(3):
        page.send("HeapProfiler.collectGarbage")
    usage = page.send("Runtime.getHeapUsage")
    found = {one["name"]: one["value"] for one in page.send("Performance.getMetrics")["metrics"]}
    page.send("Performance.disable")
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
