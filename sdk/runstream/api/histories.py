"""The curves of one run or of many, read in few requests."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from runstream.api.convert import as_list
from runstream.api.frames import build, check_format
from runstream.api.progress import TransferProgress
from runstream.errors import InvalidRequestError

if TYPE_CHECKING:
    from runstream.api.connection import Connection
    from runstream.api.run_reference import RunReference, Summarized
    from runstream_proto.v1 import query_pb2 as pb

_MOST = 100
"""The most runs, and the most metrics, in one request."""
_MAX_SAMPLES = 10_000
_ANSWER_BUCKETS = 300_000
"""The most buckets of all curves in one answer; they are about 30 MB, and gRPC takes 64."""
BANDS = ("min", "max", "first", "last", "count")
Cells = tuple[Any, ...]
"""The values of one metric in one bucket: its mean, then BANDS."""
_AXES = {"_step": 1, "_runtime": 2, "_timestamp": 3}


def histories(
    api: Connection,
    runs: Sequence[Summarized],
    *,
    samples: int,
    keys: Sequence[str] | str | None,
    x_axis: str,
    kind: str,
    bands: bool,
) -> Any:
    """Return the rows of all the runs, one run after the other, sorted by x within a run.

    A row has `run_id`, the x axis, and a column for each key: the mean over ranks, and over the bucket where there are
    more steps than `samples`. With `bands` a row also has `key.min`, `key.max`, `key.first`, `key.last` and `key.count`
    of its bucket (`key.bucket_min` where `key.min` is a metric in the frame). `keys`: None takes the summaries' keys.
    `kind`: default (a list of dicts), pandas, polars or arrow.
    """
    check_format(kind)
    names = as_list(keys) if keys is not None else sorted({key for run in runs for key in numeric(run.summary)})
    columns: dict[str, list[object]] = {"run_id": [], x_axis: []}
    requested = frozenset(names)
    with TransferProgress("reading histories", len(runs), "runs") as progress:
        for found, count in _by_run(api, runs, names, samples, x_axis):
            for run, rows in found:
                for x in sorted(rows):
                    spread(columns, {"run_id": run, x_axis: x}, rows[x], bands, requested)
            progress.add(count)
    return build(columns, kind)


def history(
    api: Connection,
    run: RunReference,
    names: Sequence[str],
    samples: int,
    x_axis: str,
    rank: int | str,
    min_step: int | None,
    max_step: int | None,
    *,
    pandas: bool,
) -> Any:
    """See `StoredRun.history`."""
    found = rows_of(api, run.entity, run.project, [run.id], names, samples, x_axis, rank, min_step, max_step)[run.id]
    columns: dict[str, list[object]] = {x_axis: []}
    requested = frozenset(names)
    for x in sorted(found):
        spread(columns, {x_axis: x}, found[x], True, requested)
    return build(columns, "pandas" if pandas else "default")


def numeric(summary: dict[str, object]) -> list[str]:
    return [key for key, value in summary.items() if isinstance(value, (int, float)) and not isinstance(value, bool)]


def rows_of(
    api: Connection,
    team: str,
    project: str,
    runs: Sequence[str],
    names: Sequence[str],
    samples: int,
    x_axis: str = "_step",
    rank: int | str = "mean",
    min_step: int | None = None,
    max_step: int | None = None,
) -> dict[str, dict[float, dict[str, Cells]]]:
    """Return run -> x -> metric -> the values of the bucket at x. Raises InvalidRequestError."""
    from runstream_proto.v1 import query_pb2 as pb

    if not 1 <= samples <= _MAX_SAMPLES:
        raise InvalidRequestError(f"samples is {samples}: give 1 to {_MAX_SAMPLES}")
    axis = _AXES.get(x_axis, 4)
    rows: dict[str, dict[float, dict[str, Cells]]] = {run: {} for run in runs}
    width = max(min(_MOST, _ANSWER_BUCKETS // (samples * len(runs) or 1)), 1)
    wanted = [name for name in names if name != x_axis]
    for start in range(0, len(wanted), width):
        request = pb.GetCurvesRequest(
            team=team,
            project=project,
            runs=runs,
            metrics=wanted[start : start + width],
            buckets=samples,
            selection=pb.RANK_SELECTION_MEAN if rank == "mean" else pb.RANK_SELECTION_ONE,
            rank=0 if isinstance(rank, str) else rank,
            min_step=min_step,
            max_step=max_step,
            x_axis=axis,  # type: ignore[arg-type]  # the enum's numbers
            x_metric=x_axis if axis == 4 else "",
        )
        for curve in api.ask("GetCurves", request).curves:
            _gather(curve, rows[curve.run])
    return rows


def _by_run(
    api: Connection, runs: Sequence[Summarized], names: Sequence[str], samples: int, x_axis: str
) -> Iterator[tuple[list[tuple[str, dict[float, dict[str, Cells]]]], int]]:
    """Yield the rows of some runs at a time, and the number of these runs, until all runs have been read."""
    most = max(min(_MOST, _ANSWER_BUCKETS // (max(samples, 1) * max(min(len(names), _MOST), 1))), 1)
    for start in range(0, len(runs), most):
        some = runs[start : start + most]
        if names:
            found = rows_of(api, some[0].entity, some[0].project, [run.id for run in some], names, samples, x_axis)
            yield [(run.id, found[run.id]) for run in some], len(some)


def spread(
    columns: dict[str, list[object]],
    row: dict[str, object],
    metrics: dict[str, Cells],
    bands: bool,
    names: Collection[str] = (),
) -> None:
    """Append one row to columns of equal length; a cell that the row lacks becomes None.

    `names`: all metrics in the frame.
    """
    for metric, cells in metrics.items():
        row[metric] = cells[0]
        if bands:
            row.update(zip((band_name(metric, band, names) for band in BANDS), cells[1:], strict=True))
    length = len(next(iter(columns.values()), ()))
    for name in row.keys() - columns.keys():
        columns[name] = [None] * length
    for name, column in columns.items():
        column.append(row.get(name))


def band_name(metric: str, band: str, names: Collection[str]) -> str:
    """Return the column of a bucket's minimum, maximum, ...

    It is `loss.min`, or `loss.bucket_min` where `loss.min` is a metric itself.
    """
    plain = f"{metric}.{band}"
    return f"{metric}.bucket_{band}" if plain in names else plain


def _gather(curve: pb.Curve, rows: dict[float, dict[str, Cells]]) -> None:
    xs = curve.xs or curve.first_steps
    bands = [getattr(curve, f"{name}s") for name in BANDS]
    for index, x in enumerate(xs):
        single = curve.counts[index] == 1 or curve.first_steps[index] == curve.last_steps[index]
        value = curve.firsts[index] if single else curve.means[index]
        rows.setdefault(x, {})[curve.metric] = (value, *(band[index] for band in bands))
