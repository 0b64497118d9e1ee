"""Ranges that several topics' requests have."""

from __future__ import annotations

from typing import Any

from runstream_common.limits import MAX_STEP
from runstream_query.errors import InvalidQuestionError


def step_range(request: Any) -> tuple[int, int]:
    """min_step and max_step, or all steps. Raises InvalidQuestionError when reversed."""
    low = request.min_step if request.HasField("min_step") else -MAX_STEP
    high = request.max_step if request.HasField("max_step") else MAX_STEP
    if low > high:
        raise InvalidQuestionError(f"min_step {low} is greater than max_step {high}: swap them")
    return max(low, -MAX_STEP), min(high, MAX_STEP)
