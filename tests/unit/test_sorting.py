"""Points of many series are put into the order of their steps, and told to be unfit where a step comes twice."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from runstream_query.curves.sorting import sort_points

NAME = st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["x", "y", "z"]), st.integers(0, 2))
STEP = st.integers(-5, 5) | st.sampled_from([-(1 << 53), 1 << 53])
LISTS = {"step": pa.int64(), "value": pa.float64(), "time_us": pa.int64()}


@settings(max_examples=200)
@given(st.dictionaries(NAME, st.lists(STEP, min_size=1, max_size=12), max_size=5), st.integers(1, 3))
def test_points_come_in_the_order_of_their_steps(series: dict[tuple[str, str, int], list[int]], chunk: int) -> None:
    names = sorted(series)
    columns = {
        "step": [series[name] for name in names],
        "value": [[step / 2 for step in series[name]] for name in names],
        "time_us": [[step * 7 for step in series[name]] for name in names],
    }
    table = pa.table(
        {
            **{key: pa.array([name[at] for name in names]) for at, key in enumerate(("run", "metric", "rank"))},
            **{key: pa.array(column, pa.list_(LISTS[key])) for key, column in columns.items()},
        }
    )
    pieces = pa.concat_tables([table.slice(start, chunk) for start in range(0, len(table), chunk)] or [table])
    found, repeated = sort_points(pieces)
    assert list(zip(found.runs, found.metrics, found.ranks, strict=True)) == names
    assert found.counts.tolist() == [len(series[name]) for name in names]
    assert found.step.tolist() == [step for name in names for step in sorted(series[name])]
    assert found.value.tolist() == [step / 2 for step in found.step.tolist()]
    assert found.time_us.tolist() == [step * 7 for step in found.step.tolist()]
    assert repeated == any(len(set(steps)) < len(steps) for steps in series.values())
