"""Pictures of the views, for the docs: `python -m tests.browser.screenshots [FOLDER [VIEW ...]]` (docs/images, all).

At 1440 and 390 pixels, light and dark, from a real stack with real runs. To be looked at before they are committed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from tests.support.stack import ServiceStack, clean_environment

ROOT = Path(__file__).resolve().parents[2]
VIEWS = {
    "home": ("/", ".plain-table"),
    "charts": ("/main/vision?smooth=0.6&pin=val/accuracy&pin=train/loss&robust=1", ".chart"),
    "table": ("/main/vision/table?sort=-summary.val/accuracy", ".name-cell"),
    "groups": ("/main/vision?group=config.optimizer.name&smooth=0.6&band=std", ".chart"),
    "compare": ("/main/vision/compare?run=run-1&run=run-3&run=run-5", ".compare"),
    "surroundings": ("/main/vision/compare?run=plain&run=rich&where=1", ".diff"),
    "overview": ("/main/vision/runs/rich/overview", ".info"),
    "ranks": ("/main/vision/runs/ranks/ranks", ".heat-map"),
    "console": ("/main/vision/runs/rich/console", ".line"),
    "media": ("/main/vision/runs/rich/media", ".media img"),
    "distributions": ("/main/vision/runs/rich/distributions", ".heat-map"),
    "tables": ("/main/vision/runs/rich/tables?key=confusion", ".confusion"),
    "texts": ("/main/vision/runs/rich/texts", ".texts"),
    "alerts": ("/main/vision/runs/rich/alerts", ".alerts"),
    "reports": ("/main/vision/reports", ".plain-table"),
    "report": ("/main/vision/reports/learning-rates", ".chart"),
    "editor": ("/main/vision/reports/learning-rates/edit", ".editor"),
    "views": ("/main/vision/views/best-runs", ".views-menu .clip"),
    "sweeps": ("/main/search/sweeps", ".sweep-table"),
    "sweep": ("/main/search/sweeps/{sweep}", ".importance"),
    "explore": ("/main/search/explore?brush=summary.val/loss:0:0.6&obj2=val/size_mb", ".importance"),
    "keys": ("/~/keys", ".plain-table"),
    "login": ("/login", ".login"),
}
DESCRIPTION = """How small may the learning rate be before a **ResNet** on a small set stops learning?
Data: `vision-10k`, 2000 steps a run; see [the best runs](/main/vision/views/best-runs)."""
REPORT = """The largest rate that is stable wins: at `lr = 0.3` the loss is at its floor after 1500 steps, while every
halving costs about as much time again.

```panel
metrics: train/loss, val/accuracy
runs: resnet-0, resnet-1, resnet-3, resnet-7
smoothing: 0.8
outliers: no
```

## What to keep

```runs
sort: -summary.val/accuracy
limit: 5
columns: config.lr, config.optimizer.name, summary.val/accuracy, summary.val/loss
```

- [x] rates from 0.3 down to 0.02
- [ ] warm-up, which the spike of `resnet-3` asks for
"""
TALL = frozenset({"sweep", "explore"})
"""Shown whole, not only what the window holds."""
SIZES = {"wide": (1440, 900), "phone": (390, 844)}


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    out.mkdir(parents=True, exist_ok=True)
    wanted = set(sys.argv[2:])
    with tempfile.TemporaryDirectory() as folder:
        stack = ServiceStack(Path(folder)).start()
        try:
            sweep = _train(stack, Path(folder))
            _write(stack)
            views = {
                name: (path.replace("{sweep}", sweep), sign)
                for name, (path, sign) in VIEWS.items()
                if not wanted or name in wanted
            }
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=shutil.which("chromium"), args=["--no-sandbox", "--force-device-scale-factor=1"]
                )
                for size, (width, height) in SIZES.items():
                    for theme in ("light", "dark"):
                        _shoot(browser, stack, out, f"{size}-{theme}", width, height, theme, views)
                browser.close()
        finally:
            stack.stop()


def _train(stack: ServiceStack, folder: Path) -> str:
    """The id of the sweep."""
    environment = {**clean_environment(), **stack.sdk_environment(folder / "spool"), "RUNSTREAM_CONSOLE": "auto"}
    for what in (("finished", "vision", "14"), ("ranks", "vision", "8"), ("rich", "vision"), ("shapes", "shapes")):
        command = [sys.executable, "-m", "tests.browser.train", *what]
        subprocess.run(command, env=environment, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    command = [sys.executable, "-m", "tests.browser.searches", "search", "40"]
    made = subprocess.run(command, env=environment, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return made.stdout.split()[0]


def _write(stack: ServiceStack) -> None:
    """Views and a report, by the API."""
    table = "sort=-summary.val/accuracy&f=state+~+%3D+~+finished"
    shared = {"team": "main", "project": "vision", "shared": True}
    bodies = (
        ("UpdateProject", {"team": "main", "project": "vision", "description": DESCRIPTION}),
        ("CreateSaved", {**shared, "id": "best-runs", "kind": 2, "name": "Best runs", "content": table}),
        ("CreateSaved", {**shared, "id": "by-optimizer", "kind": 2, "name": "By optimizer", "content": "group=x"}),
        ("CreateSaved", {**shared, "id": "learning-rates", "kind": 3, "name": "Learning rates", "content": REPORT}),
    )
    for method, body in bodies:
        request = urllib.request.Request(f"http://{stack.address('http')}/api/v1/{method}", json.dumps(body).encode())
        request.add_header("authorization", f"Bearer {stack.key}")
        urllib.request.urlopen(request, timeout=20).close()


def _shoot(
    browser: Browser,
    stack: ServiceStack,
    out: Path,
    suffix: str,
    width: int,
    height: int,
    theme: str,
    views: dict[str, tuple[str, str]],
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        base_url=f"http://{stack.address('http')}",
        reduced_motion="reduce",
    )
    answer = context.request.post("/api/session", data={"key": stack.key}, headers={"x-runstream-page": "1"})
    assert answer.ok, answer.text()
    page = context.new_page()
    for name, (path, sign) in views.items():
        if name == "login":
            context.clear_cookies()
        page.goto(path)
        page.locator(sign).first.wait_for()
        page.wait_for_load_state("networkidle")
        if name == "views":
            page.get_by_role("button", name="Views").click()
        page.wait_for_timeout(300)
        file = out / f"page-{name}-{suffix}.png"
        page.screenshot(path=file, full_page=name in TALL)
        Image.open(file).convert("P", palette=Image.Palette.ADAPTIVE, colors=192).save(file, optimize=True)
    context.close()


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
