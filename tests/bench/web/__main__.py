"""How fast the page is: `python -m tests.bench.web [--quick] [--only PART,...]`. Prints JSON last.

Debian's Chromium, headless, its cache empty each time, in front of a real stack; times are the browser's own
(`performance.now()` since the navigation began), medians, with `p50`, `p95` and CPU of browser, query service and
ClickHouse in the details. Both halves share the machine's cores.

`bundle_kb`: what the largest first view transfers before any data, KiB. `project_interactive_s`: a project of 10,000
runs x 100 metrics (tests/bench/query/seed.py): until what is on the screen is painted and the last long task (> 50 ms)
of a row has ended; the slower of its charts and its table. `workspace_s`: 50 panels x 20 curves of a thousand points,
all on the screen (1440 x 6000 px), until the last one is painted (`screen`: the same at 1440 x 900).

`hover_ms`: p95 of what a frame takes in which the mouse moved over one of these panels, at 1440 x 900 (`all`: with all
50 on the screen): from the frame's begin, the browser's clock tick before it tells the page of the event, until the
page's thread has drawn it; waiting for the processor included. It is not the time between frames, which is
`between_frames_ms` and 16.7 ms at best, nor how late the hand sees it: `from_event_ms` begins when the browser got the
event, so half of it is waiting for the next tick.

`memory_growth`: of the heap after garbage collection, over as many live updates as an hour has: see `memory`.
`--quick`: a tenth of the runs, fewer repetitions, 120 updates, which are too few to tell growth: null.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.bench.query.seed import Sizes, seed
from tests.bench.web import memory, views
from tests.bench.web.chromium import Chromium
from tests.support.stack import ServiceStack

PARTS = ("bundle", "project", "workspace", "hover", "memory")


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the data, within two minutes")
    parser.add_argument("--only", default="", help=f"of {', '.join(PARTS)}; separated by commas")
    arguments = parser.parse_args()
    only = set(filter(None, arguments.only.split(","))) or set(PARTS)
    if unknown := only - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    results: dict[str, Any] = {"cores": os.cpu_count(), "load_before": os.getloadavg()[0], "quick": arguments.quick}
    with tempfile.TemporaryDirectory(prefix="runstream-bench-") as folder:
        if only - {"memory"}:
            results |= seeded(Path(folder) / "wide", only, arguments.quick)
        if "memory" in only:
            results |= memory.measure(Path(folder) / "live", arguments.quick, say)
    print(json.dumps(results, indent=1))


def seeded(folder: Path, only: set[str], quick: bool) -> dict[str, Any]:
    """The parts that look at what is there already."""
    sizes = Sizes.quick() if quick else Sizes()
    times = 3 if quick else 9
    results: dict[str, Any] = {}
    stack = ServiceStack(folder).start()
    try:
        stack.make_project("wide")
        seed(stack.clickhouse.client(), sizes, say, only=("wide",))
        wait_merged(stack)
        with sync_playwright() as playwright, Chromium(playwright, stack) as chromium:
            chromium.warm_up("/main/wide")
            for part in PARTS:
                if part in only and part != "memory":
                    say(f"measuring: {part}")
                    results |= getattr(views, part)(chromium, times)
    finally:
        stack.stop()
    return results


def wait_merged(stack: ServiceStack) -> None:
    """Until the engine rests: the state of a server some time after."""
    say("waiting for merges")
    client = stack.clickhouse.client()
    deadline, resting = time.monotonic() + 120, 0
    while time.monotonic() < deadline and resting < 10:
        merging = client.query("SELECT count() FROM system.merges").result_rows[0][0]
        resting = 0 if merging else resting + 1
        time.sleep(0.3)


if __name__ == "__main__":
    main()
