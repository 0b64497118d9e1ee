"""The state of a run, from what its ranks said."""

from __future__ import annotations

import pytest

from runstream_query.runs.run_states import FACTS, with_state

SILENT_US = 1000


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ({"ended": 4, "world_size": 4, "heard_us": 1}, "finished"),
        ({"ended": 3, "open": 1, "world_size": 4, "heard_us": 2000}, "running"),
        ({"ended": 3, "open": 1, "world_size": 4, "heard_us": 1}, "crashed"),
        ({"ended": 1, "world_size": 4, "heard_us": 2000}, "running"),  # the others may still come
        ({"ended": 1, "world_size": 4, "heard_us": 1}, "finished"),  # they never did
        ({"failed": 1, "ended": 3, "world_size": 4, "heard_us": 1}, "failed"),
    ],
)
def test_a_run_is_what_its_ranks_said_and_does_not_wait_for_ever(facts: dict[str, int], state: str) -> None:
    row = {**dict.fromkeys(FACTS, 0), **facts, "hosts": "[]"}
    assert with_state([row], SILENT_US)[0]["state"] == state
