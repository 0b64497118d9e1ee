"""Define one curve of an answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runstream_query.curves.buckets import Buckets


@dataclass(frozen=True, slots=True)
class Curve:
    run: str
    metric: str
    rank: int
    width: int
    """Steps of each bucket; 1: each point has its own bucket."""
    buckets: Buckets
    xs: NDArray[np.float64] | None = None
    """(B,): where each bucket begins, on an axis that is not the step."""
    x_width: float = 0.0
