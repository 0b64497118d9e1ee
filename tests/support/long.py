"""How long a test plays: `.ci/run` plays the short form of a few, `make long` the whole."""

from __future__ import annotations

import os

import pytest

LONG = os.environ.get("RUNSTREAM_TEST_LONG", "") == "1"

long = pytest.mark.long
"""Marks a test that only `make long` plays."""
