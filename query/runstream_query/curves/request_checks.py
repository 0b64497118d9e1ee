"""Check fields that several kinds of request have in common."""

from __future__ import annotations

from typing import Any

from runstream_common.limits import MAX_STEP
from runstream_query.base.errors import InvalidRequestError

MAX_BUCKETS = 10_000


def bucket_count(requested: int, default: int = 1000, most: int = MAX_BUCKETS) -> int:
    """Return the number of buckets; 0 means the default. Raises InvalidRequestError."""
    if requested > most:
        raise InvalidRequestError(f"buckets is {requested}: at most {most}")
    return requested or default


def step_range(request: Any) -> tuple[int, int]:
    """Return min_step and max_step, or the limits of all steps. Raises InvalidRequestError when they are reversed."""
    low = request.min_step if request.HasField("min_step") else -MAX_STEP
    high = request.max_step if request.HasField("max_step") else MAX_STEP
    if low > high:
        raise InvalidRequestError(f"min_step {low} is greater than max_step {high}: swap them")
    return max(low, -MAX_STEP), min(high, MAX_STEP)


def check_list(field: str, values: Any, most: int) -> list[str]:
    """Return the values sorted and without repetitions. Raises InvalidRequestError unless there are 1 to `most`."""
    if not 1 <= len(values) <= most:
        raise InvalidRequestError(f"{field}: give 1 to {most}, not {len(values)}")
    return sorted(set(values))
