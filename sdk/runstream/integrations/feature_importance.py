"""Feature importance as a plot, for every library that computes it."""

from __future__ import annotations

from collections.abc import Iterable

from runstream.data import plots
from runstream.data.table import Table

MAX_FEATURES = 100


def importance_plot(scores: Iterable[tuple[str, float]]) -> Table:
    """Return a bar plot of the most important features, the most important first."""
    pairs = [(str(name), float(score)) for name, score in scores]
    pairs.sort(key=lambda pair: pair[1], reverse=True)
    table = Table(["Feature", "Importance"], pairs[:MAX_FEATURES])
    return plots.bar(table, "Feature", "Importance", title="Feature importance")
