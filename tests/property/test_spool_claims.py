"""The claim protocol of the spool, explored; and the explorer itself: each guard that is taken away is noticed."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from runstream.spool import writer as module
from runstream.spool.writer import SpoolWriter
from tests.property.spool_claims import (
    SCENES,
    Bodies,
    Scene,
    explore,
    explore_all,
    explore_exceptions,
    explore_handlers,
    row_and_end,
    rows_at_once,
    same_keys,
    sampled,
)
from tests.support.interleavings import sleep
from tests.support.long import LONG

STRIDE = 10_000 if LONG else 40_000
"""Of the schedules with two switches, a few hundred thousand; `python -m tests.property.spool_claims` plays all."""


@pytest.mark.timeout(240)
def test_no_schedule_of_threads_handlers_or_interrupts_loses_doubles_or_alters_a_record(tmp_path: Path) -> None:
    assert explore_all(tmp_path, sampled(STRIDE), every=7 if LONG else 23) > 300


def without(method: str, guard: str, instead: str) -> Callable[..., object]:
    """The method of SpoolWriter, compiled with `instead` in place of `guard`."""
    source = textwrap.dedent(inspect.getsource(getattr(SpoolWriter, method)))
    assert guard in source
    namespace = dict(vars(module))
    code = compile(source.replace(guard, instead), module.__file__, "exec", dont_inherit=True, flags=0x1000000)
    exec(code, namespace)  # our own source
    return namespace[method]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("method", "guard", "instead", "kind", "scene"),
    [
        (
            "append_row",
            "stretch.claim(number, row) is not row",
            "stretch.claim(number, row) is None",
            explore,
            same_keys,
        ),
        (
            "append_row",
            "stretch.claim(number, row) is not row",
            "stretch.claim(number, row) is None",
            explore_handlers,
            rows_at_once,
        ),
        ("_settle_segment", "segment.revoke()", "pass", explore, row_and_end),
        ("_give_up", "self._put_void(segment, start, span, number)", "pass", explore_exceptions, rows_at_once),
        (
            "_shut",
            "if stretch.claim(records + 1, final) is final:",
            "if stretch.claim(records + 1, final) or True:",
            explore,
            row_and_end,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_explorer_notices_a_guard_that_is_missing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    guard: str,
    instead: str,
    kind: Callable[[Path, Callable[[Scene], Bodies], int, Callable[[int], bool]], int],
    scene: Callable[[Scene], Bodies],
) -> None:
    assert scene in SCENES
    monkeypatch.setattr(SpoolWriter, method, without(method, guard, instead))
    monkeypatch.setattr(module, "_sleep", sleep)
    with pytest.raises(Exception, match=r"schedule|handler|Ctrl-C"):
        for filled in (1, 4, 5):
            folder = tmp_path / str(filled)
            folder.mkdir()
            kind(folder, scene, filled, sampled(15 if kind is explore else 1, seed=1))
