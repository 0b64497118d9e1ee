"""The short form of `python -m tests.field.hostile`."""

from __future__ import annotations

from pathlib import Path

from tests.field.hostile import Hostility
from tests.support.stack import ServiceStack


def test_documents_that_nobody_should_write_hurt_nobody(stack: ServiceStack, spool: Path) -> None:
    tally = Hostility(stack, late_s=20).run(60)
    assert tally.documents >= 40
