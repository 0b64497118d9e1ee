"""Rows of points are put into the order of their keys, and told to be unfit where a key comes twice."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from runstream_query.curves.arranged import arranged

KINDS = {"run_number": np.uint16, "metric_number": np.uint16, "rank": np.uint32, "step": np.int64, "value": np.float64}
FAR = 1 << 53
KEY = st.tuples(
    st.integers(0, 2) | st.just(99),
    st.integers(0, 2) | st.just(99),
    st.integers(0, 2) | st.just((1 << 32) - 1),
    st.integers(-5, 5) | st.sampled_from([-FAR, FAR]),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(KEY, max_size=12))
def test_rows_come_in_the_order_of_their_keys_or_not_at_all(keys: list[tuple[int, int, int, int]]) -> None:
    rows = [(*key, float(number)) for number, key in enumerate(keys)]
    columns = {name: np.array([row[at] for row in rows], dtype=kind) for at, (name, kind) in enumerate(KINDS.items())}
    found = arranged(columns)
    if len(set(keys)) < len(keys):
        assert found is None
    else:
        assert found is not None
        assert list(zip(*(found[name].tolist() for name in KINDS), strict=True)) == sorted(rows)
