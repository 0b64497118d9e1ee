"""`runstream.plot`: tables that carry how they are drawn. The names are W&B's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from runstream.data.histogram import to_numpy
from runstream.data.table import Table
from runstream.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Labels = npt.NDArray[np.bool_]
    Floats = npt.NDArray[np.float64]

MAX_CURVE_POINTS = 1000
"""A class's precision-recall or ROC curve of at least twice as many points is thinned evenly."""


def line(table: Table, x: str, y: str, stroke: str | None = None, title: str = "", **_: object) -> Table:
    """Return a table that is drawn as a line of column `y` over column `x`, one line for each value of `stroke`."""
    return _drawn(table, "line", title, x=x, y=y, stroke=stroke)


def scatter(table: Table, x: str, y: str, title: str = "", **_: object) -> Table:
    """Return a table that is drawn as one dot for each row."""
    return _drawn(table, "scatter", title, x=x, y=y)


def bar(table: Table, label: str, value: str, title: str = "", **_: object) -> Table:
    """Return a table that is drawn as one bar for each row."""
    return _drawn(table, "bar", title, label=label, value=value)


def histogram(table: Table, value: str, title: str = "", **_: object) -> Table:
    """Return a table that is drawn as the distribution of a column."""
    return _drawn(table, "histogram", title, value=value)


def line_series(
    xs: Sequence[object],
    ys: Sequence[Sequence[object]],
    keys: Sequence[str] | None = None,
    title: str = "",
    xname: str = "x",
    **_: object,
) -> Table:
    """Return a table that is drawn as several lines.

    `ys` is K sequences; `xs` is one sequence for all of them, or K sequences; `keys` are their K names.
    """

    def build() -> Table:
        lines = [_list(line) for line in ys]
        shared = [_list(x) for x in xs] if len(xs) and isinstance(xs[0], (list, tuple)) else [_list(xs)] * len(lines)
        names = [f"line {number}" for number in range(1, len(lines) + 1)] if keys is None else [str(k) for k in keys]
        if not len(shared) == len(lines) == len(names):
            raise UsageError(f"line_series: {len(shared)} xs, {len(lines)} ys and {len(names)} keys do not fit")
        rows = []
        for name, x, y in zip(names, shared, lines, strict=True):
            if len(x) != len(y):
                raise UsageError(f"line_series: {name} has {len(x)} xs and {len(y)} ys")
            rows += [[a, b, name] for a, b in zip(x, y, strict=True)]
        return _drawn(Table([xname, "y", "line"], rows), "line", title, x=xname, y="y", stroke="line")

    return _safely(build)


def confusion_matrix(
    probs: object = None,
    y_true: Sequence[object] | None = None,
    preds: Sequence[object] | None = None,
    class_names: Sequence[str] | None = None,
    title: str = "",
    **_: object,
) -> Table:
    """Return a table of how often each true class was predicted as each class.

    `y_true`: N class indices (or labels). `preds`: N predicted classes; or `probs`: an array of shape (N, classes).
    """

    def build() -> Table:
        if y_true is None or (preds is None) == (probs is None):
            raise UsageError("confusion_matrix: give y_true, and preds or probs")
        truth = _list(y_true)
        guesses = _list(preds) if preds is not None else to_numpy(probs).argmax(axis=-1).tolist()
        if len(truth) != len(guesses):
            raise UsageError(f"confusion_matrix: {len(truth)} true and {len(guesses)} predicted classes")
        if class_names is not None:
            names = [str(name) for name in class_names]
            try:
                pairs = Counter((_named(a, names), _named(b, names)) for a, b in zip(truth, guesses, strict=True))
            except IndexError:
                raise UsageError(f"confusion_matrix: a class beyond the {len(names)} of class_names") from None
        else:
            labels = sorted({*truth, *guesses}, key=lambda label: (isinstance(label, str), label))
            names = [str(label) for label in labels]
            pairs = Counter((str(a), str(b)) for a, b in zip(truth, guesses, strict=True))
        rows = [[actual, guess, pairs[actual, guess]] for actual in names for guess in names]
        return _drawn(
            Table(["Actual", "Predicted", "nPredictions"], rows),
            "confusion_matrix",
            title,
            actual="Actual",
            predicted="Predicted",
            count="nPredictions",
        )

    return _safely(build)


def pr_curve(
    y_true: object = None,
    y_probas: object = None,
    labels: Sequence[str] | None = None,
    classes_to_plot: object = None,
    title: str = "",
    **_: object,
) -> Table:
    """Return a table of precision over recall, drawn as one curve for each class.

    `y_true`: N class indices; `y_probas`: an array of shape (N, classes). scikit-learn's `precision_recall_curve`
    computes the curves.
    """

    def curve(truth: Labels, scores: Floats) -> tuple[Floats, Floats]:
        from sklearn.metrics import precision_recall_curve

        precision, recall, _ = precision_recall_curve(truth, scores)
        return recall, precision

    return _curves("pr_curve", curve, y_true, y_probas, labels, classes_to_plot, title, ("recall", "precision"))


def roc_curve(
    y_true: object = None,
    y_probas: object = None,
    labels: Sequence[str] | None = None,
    classes_to_plot: object = None,
    title: str = "",
    **_: object,
) -> Table:
    """Return a table of the true over the false positive rate, drawn as one curve for each class.

    The arguments are those of `pr_curve`. scikit-learn's `roc_curve` computes the curves.
    """

    def curve(truth: Labels, scores: Floats) -> tuple[Floats, Floats]:
        from sklearn.metrics import roc_curve as of_sklearn

        false_rate, true_rate, _ = of_sklearn(truth, scores)
        return false_rate, true_rate

    return _curves("roc_curve", curve, y_true, y_probas, labels, classes_to_plot, title, ("fpr", "tpr"))


def _curves(
    kind: str,
    curve: Callable[[Labels, Floats], tuple[Floats, Floats]],
    y_true: object,
    y_probas: object,
    labels: Sequence[str] | None,
    classes: object,
    title: str,
    axes: tuple[str, str],
) -> Table:
    def build() -> Table:
        if y_true is None or y_probas is None:
            raise UsageError(f"{kind}: give y_true and y_probas")
        truth, scores = to_numpy(y_true), to_numpy(y_probas)
        if truth.ndim != 1 or scores.ndim != 2 or len(truth) != len(scores):
            raise UsageError(f"{kind}: y_true of shape (N,) and y_probas of shape (N, classes) are meant")
        rows = []
        for place in range(scores.shape[1]):
            if classes is not None and place not in _list(classes):
                continue
            name = str(labels[place]) if labels is not None and place < len(labels) else str(place)
            try:
                xs, ys = curve(truth == place, scores[:, place])
            except ImportError:
                raise UsageError(f"{kind} needs scikit-learn: pip install scikit-learn") from None
            every = max(-(-len(xs) // MAX_CURVE_POINTS), 1)  # rounded up
            kept = sorted({*range(0, len(xs), every), len(xs) - 1})
            rows += [[name, round(float(xs[i]), 6), round(float(ys[i]), 6)] for i in kept]
        return _drawn(Table(["class", *axes], rows), kind, title, x=axes[0], y=axes[1], stroke="class")

    return _safely(build)


def _drawn(table: Table, kind: str, title: str, **fields: str | None) -> Table:
    if not isinstance(table, Table):
        return _broken(f"plot: a runstream.Table is meant, not {type(table).__name__}")
    for name, column in fields.items():
        if column is not None and column not in table.columns:
            return _broken(f"plot: {name} is {column!r}, and the table's columns are {', '.join(table.columns)}")
    drawn = Table()
    drawn.columns, drawn.data, drawn.problem = table.columns, table.data, table.problem
    drawn.plot = {"type": kind, "title": title, **{name: column for name, column in fields.items() if column}}
    return drawn


def _safely(build: Callable[[], Table]) -> Table:
    try:
        return build()
    except UsageError as error:
        return _broken(str(error))
    except Exception as error:  # noqa: BLE001  # foreign arrays may raise anything
        return _broken(f"{type(error).__name__}: {error}")


def _broken(problem: str) -> Table:
    table = Table()
    table.problem = problem
    return table


def _named(label: object, names: list[str]) -> str:
    if isinstance(label, int):
        if label < 0:
            raise IndexError
        return names[label]
    return str(label)


def _list(values: Any) -> list[Any]:
    tolist = getattr(values, "tolist", None)
    return list(tolist() if callable(tolist) else values)
