"""Which resolutions a series is rolled up in."""

from __future__ import annotations

import pytest

from runstream_query.curves.rollups.resolutions import bits_for, widths_for
from runstream_query.curves.widths import unit_of, width_for


@pytest.mark.parametrize(
    ("points", "widths"),
    [
        (100_000, [256]),
        (2_047_999, [256]),
        (2_048_000, [256, 2048]),
        (10_000_000, [256, 2048]),
        (20_000_000, [256, 2048, 16384]),
        (1_000_000_000, [256, 2048, 16384, 131072]),
    ],
)
def test_longer_series_have_coarser_cells_too(points: int, widths: list[int]) -> None:
    assert widths_for(bits_for(points, 0, points - 1), points) == widths


@pytest.mark.parametrize("points", [3_000_000, 10_000_000, 77_000_000, 1_000_000_000, 30_000_000_000])
def test_a_chart_of_a_thousand_buckets_reads_some_thousand_cells(points: int) -> None:
    width = width_for(0, points - 1, 1000)
    cell = max(one for one in widths_for(bits_for(points, 0, points - 1), points) if one <= unit_of(width))
    assert points / cell <= 60_000


def test_no_cell_is_wider_than_steps_reach() -> None:
    assert widths_for(50, 10**12) == [1 << 50]
    assert widths_for(49, 10**12) == [1 << 49, 1 << 52]
