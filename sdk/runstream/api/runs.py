"""Runs and their curves, as the server stores them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from runstream.api import rich
from runstream.api.convert import as_list, plain, split_path
from runstream.api.series import StoredSeries, read_series
from runstream.api.verdicts import verdict_of

if TYPE_CHECKING:
    from typing import Unpack

    from runstream.api.connection import Connection
    from runstream.api.exporting import ExportOptions
    from runstream_proto.v1 import query_pb2 as pb

STATES = {"running": 1, "finished": 2, "failed": 3, "crashed": 4, "preempted": 5}


class StoredRun:
    """A stored run.

    To change it, set `name`, `notes`, `tags`, `group`, `job_type`, or keys of `config` and `summary`, and call
    `update()`.
    """

    def __init__(self, api: Connection, found: pb.Run) -> None:
        self._api = api
        self._found = found
        self._take(found)

    def _take(self, found: pb.Run) -> None:
        self._found = found
        self.id = found.id
        self.entity = found.team
        self.project = found.project
        self.name = found.name
        self.notes = found.notes
        self.tags = list(found.tags)
        self.group = found.group
        self.job_type = found.job_type
        self.user = found.user
        self.world_size = found.world_size
        self.sweep_id = found.sweep_id
        self.duration_s = found.duration_s

    @property
    def message(self) -> pb.Run:
        """The message that the server sent."""
        return self._found

    @property
    def whole_message(self) -> pb.Run:
        """The message with all documents; makes a request where a list left some out."""
        return self._whole if self._is_partial else self._found

    @property
    def state(self) -> str:
        """One of running, finished, failed, crashed or preempted."""
        return next((name for name, number in STATES.items() if number == self._found.state), "unknown")

    @property
    def created_at(self) -> datetime:
        from datetime import UTC

        return self._found.created.ToDatetime(tzinfo=UTC)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The run's config: dotted keys to values."""
        return self.document("config")

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Each metric's last value (mean over ranks), overlaid by what was set."""
        return self.document("summary")

    def document(self, section: str) -> dict[str, Any]:
        """Return `config` or `summary` as the server has it, with the large values that lists leave out.

        Makes one request where a value is left out.
        """
        values = plain(getattr(self.whole_message, section), whole_numbers=section == "config")
        return {**values, **self.large_values(section)}

    def large_values(self, section: str) -> dict[str, Any]:
        """Return the values of more than 1 MiB of a section, by key.

        `config` and `summary` return values of these documents. `run` returns notes and tags whose
        attributes hold only a note of their size.
        """
        import json

        if not self._is_partial:
            return {}
        found = (value for value in self._whole.large if value.section == section and value.value_json)
        return {value.key: json.loads(value.value_json) for value in found}

    @property
    def _is_partial(self) -> bool:
        """Whether the server left a value out of the documents."""
        found = self._found
        return bool(found.large) or found.config_truncated or found.summary_truncated

    @cached_property
    def _whole(self) -> pb.Run:
        return self._ask_anew(large_values=True)

    @property
    def path(self) -> list[str]:
        return [self.entity, self.project, self.id]

    @property
    def completeness(self) -> dict[str, Any]:
        """The number of values that the processes logged, compared with what is stored; each read makes a request.

        Keys: verdict (complete, incomplete, open or damaged), points_logged, points_received, points_stored,
        points_rejected, points_dropped, missing (gaps of record numbers), findings (sentences), rows_counted,
        rows_proved (rows of points), documents_counted, documents_proved (rows of everything else), computed (when),
        computed_by (which queries).
        """
        return verdict_of(self._ask_anew(omit_completeness=False).completeness)

    def update(self) -> None:
        """Send the fields that were set since the run was read, and read the run again.

        Fields that were not set stay as they are on the server. A process that resumes the run later overrides these
        values with those that it gives to `init()`.

        Raises PermissionDeniedError, InvalidRequestError, NotFoundError.
        """
        from runstream.api.editing import update_request

        request = update_request(self)
        if request is not None:
            self._api.ask("UpdateRuns", request)
        for name in ("config", "summary", "_whole"):
            self.__dict__.pop(name, None)
        self._take(self._ask_anew())

    def _ask_anew(self, *, omit_completeness: bool = True, large_values: bool = False) -> pb.Run:
        from runstream_proto.v1 import query_pb2 as pb

        request = pb.GetRunRequest(
            team=self.entity,
            project=self.project,
            run=self.id,
            omit_completeness=omit_completeness,
            large_values=large_values,
        )
        return cast("pb.Run", self._api.ask("GetRun", request))

    def add_tags(self, *tags: str) -> None:
        """Add tags to the stored run at once.

        When several programs add tags at the same time, no tag is lost; with `tags` and `update()` one may be.
        """
        self._retag(add_tags=tags)

    def remove_tags(self, *tags: str) -> None:
        """Remove tags from the stored run at once. Tags that the run does not have are no error."""
        self._retag(remove_tags=tags)

    def _retag(self, **change: Sequence[str]) -> None:
        from runstream_proto.v1 import saved_pb2 as pb

        request = pb.UpdateRunsRequest(team=self.entity, project=self.project, runs=[self.id], **change)  # type: ignore[arg-type]
        (found,) = self._api.ask("UpdateRuns", request).runs
        self.tags = list(found.tags)
        del self._found.tags[:]
        self._found.tags.extend(found.tags)

    def delete(self) -> None:
        """Delete the run with everything it logged, for good. The server refuses a process that still writes to it."""
        from runstream_proto.v1 import query_pb2 as pb

        self._api.ask("DeleteRuns", pb.DeleteRunsRequest(team=self.entity, project=self.project, runs=[self.id]))

    def delete_metric(self, key: str) -> None:
        """Delete a metric, for good, with the values that the run's present processes still log under this name."""
        from runstream_proto.v1 import query_pb2 as pb

        request = pb.DeleteMetricRequest(team=self.entity, project=self.project, run=self.id, metric=key)
        self._api.ask("DeleteMetric", request)

    def metrics(self, search: str = "") -> list[str]:
        """Return the names of the run's metrics, in order."""
        from runstream_proto.v1 import query_pb2 as pb

        request = pb.ListMetricsRequest(
            team=self.entity, project=self.project, run=self.id, search=search, page_size=10_000
        )
        names: list[str] = []
        while True:
            response = self._api.ask("ListMetrics", request)
            names += [metric.name for metric in response.metrics]
            if not response.next_page_token:
                return names
            request.page_token = response.next_page_token

    def keys(self, kind: str = "") -> list[dict[str, Any]]:
        """Return the keys that the run logged beyond scalars: key, kind, first_step, last_step, count, ranks, types.

        `kind`: histogram, table, plot, media or text; empty: all.
        """
        return rich.keys(self._api, self, kind)

    def histograms(
        self,
        key: str,
        columns: int = 200,
        bins: int = 64,
        rank: int | None = None,
        raw: bool = False,
        min_step: int | None = None,
        max_step: int | None = None,
    ) -> list[rich.StoredHistogram]:
        """Return histograms over steps, in at most `columns` columns of at most `bins` bins.

        Neighbouring histograms are merged, and the counts are conserved. `rank`: the histograms of one rank; without
        it, the sum of all ranks. `raw`: the histograms as logged, for each step and rank, at most 1000 at once.
        """
        options = {"columns": columns, "bins": bins, "rank": rank, "raw": raw, "min_step": min_step}
        return rich.histograms(self._api, self, key, {**options, "max_step": max_step})

    def table(
        self,
        key: str,
        step: int | None = None,
        rank: int | None = None,
        where: Sequence[tuple[object, ...]] = (),
        order: Sequence[str] = (),
        limit: int | None = None,
    ) -> rich.StoredTable:
        """Return a logged table, of the newest step unless `step` is given.

        `where`: conditions (column, operator, value) that must all hold; operators are == != < <= > >= in contains
        regex, and missing, present without a value. `order`: columns, with "-" before a column for the largest first.
        `limit`: rows.
        """
        return rich.table(self._api, self, key, step, rank, where, as_list(order), limit)

    def plot(self, key: str, step: int | None = None, rank: int | None = None) -> dict[str, Any]:
        """Return the data of a plot: type, title, series (with areas), bins, or a confusion matrix with its scores."""
        return rich.plot(self._api, self, key, step, rank)

    def media(
        self,
        prefix: str = "",
        rank: int | None = None,
        type: str = "",
        at_step: int | None = None,
        min_step: int | None = None,
        max_step: int | None = None,
    ) -> Iterator[rich.StoredFile]:
        """Yield images, audio, video, ... under keys that begin with `prefix`, by key and step.

        `read()` or `download()` gets the content of one. `at_step`: of each key the newest up to this step; `type`: the
        beginning of the media type, such as "image/".
        """
        options = {"rank": rank, "type": type, "at_step": at_step, "min_step": min_step, "max_step": max_step}
        return rich.media(self._api, self, prefix, options)

    def files(self, prefix: str = "", category: str = "") -> Iterator[rich.StoredFile]:
        """Yield the files that `save()` and `log_code()` kept, by path; `category`: file or code."""
        return rich.files(self._api, self, prefix, category)

    def texts(self, key: str) -> Iterator[dict[str, Any]]:
        """Yield the texts that were logged under a key, by step and rank: step, rank, text, time_us."""
        return rich.texts(self._api, self, key)

    def alerts(self, level: str = "") -> Iterator[dict[str, Any]]:
        """Yield the run's alerts, newest first: level, title, text, rank, time_us.

        `level`: info, warn or error; empty: all.
        """
        return rich.alerts(self._api, self, level)

    def console(
        self,
        search: str = "",
        rank: int | None = None,
        output: str = "",
        newest: int | None = None,
        regex: bool = False,
        match_case: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Yield the lines that the processes printed, oldest first: text, rank, output, line, writer, time_us.

        `newest`: only this many last lines; `output`: stdout or stderr; `search`: part of a line, or with `regex` an
        RE2 expression.
        """
        options = {"search": search, "rank": rank, "output": output, "newest": newest}
        return rich.console(self._api, self, {**options, "regex": regex, "match_case": match_case})

    def history(
        self,
        samples: int = 500,
        keys: Sequence[str] | str | None = None,
        x_axis: str = "_step",
        pandas: bool = True,
        *,
        rank: int | str = "mean",
        min_step: int | None = None,
        max_step: int | None = None,
    ) -> Any:
        """Return curves in at most `samples` buckets; a run of fewer steps comes in full.

        Returns a pandas frame with a row for each bucket: the x axis where the bucket begins, and for each key its mean
        under the key, and `key.min`, `key.max`, `key.first`, `key.last`, `key.count` (`key.bucket_min` where a
        requested metric is called `key.min`); with `pandas=False` it returns a list of such dicts. `x_axis`: `_step`,
        `_runtime` (seconds), `_timestamp` (seconds since 1970), or a metric. `rank`: "mean" over ranks, or one rank.
        Raises MissingExtraError without pandas.
        """
        from runstream.api.histories import history

        names = self.metrics() if keys is None else as_list(keys)
        return history(self._api, self, names, samples, x_axis, rank, min_step, max_step, pandas=pandas)

    def scan_history(
        self,
        keys: Sequence[str] | str | None = None,
        page_size: int = 1000,
        min_step: int | None = None,
        max_step: int | None = None,
        *,
        rank: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield rows as logged, in order of rank and step: `_step`, `_rank`, and the values of `keys`.

        With `keys` only rows that have all of them come, as in W&B; without `keys` every row comes, with the values
        that it has. `min_step` and `max_step` are inclusive.

        `page_size`: about how many rows one request reads; no more than a few pages are held at once.
        """
        from runstream.api.scanning import scan

        yield from scan(self._api, self, keys, page_size, min_step, max_step, rank)

    def points(
        self,
        keys: Sequence[str] | str | None = None,
        format: str = "pandas",  # the name people expect
        *,
        ranks: Sequence[int] = (),
        min_step: int | None = None,
        max_step: int | None = None,
    ) -> Any:
        """Return the full history, a row for each point: run, metric, rank, step, value, time, in this order.

        `format`: pandas, polars, arrow, or default (a list of dicts); `keys`: names, or patterns with * and ?.
        Needs pyarrow (`runstream[arrow]`). Raises MissingExtraError.
        """
        from runstream.api.exporting import points_frame

        return points_frame(self._api, self._points(keys, ranks, min_step, max_step), format)

    def point_reader(
        self,
        keys: Sequence[str] | str | None = None,
        *,
        ranks: Sequence[int] = (),
        min_step: int | None = None,
        max_step: int | None = None,
    ) -> Any:
        """Return the rows of `points` as a `pyarrow.RecordBatchReader`.

        The reader holds one batch at a time, and so fits runs that are larger than memory.
        """
        from runstream.api.exporting import open_points

        return open_points(self._api, self._points(keys, ranks, min_step, max_step))

    def export(
        self, path: str | Path, keys: Sequence[str] | str | None = None, **options: Unpack[ExportOptions]
    ) -> int:
        """Write the full history to a file, and return its size in bytes. The file gets its name when it is complete.

        `format`: arrow, parquet or csv, by default the one that the path ends in; further options are `ranks`,
        `min_step` and `max_step`. `keys`: names, and patterns with `*` and `?`; a backslash before either means the
        character itself.
        """
        from runstream.api.exporting import export_points

        return export_points(self._api, self.entity, self.project, [self.id], Path(path), keys, **options)

    def _points(
        self, keys: Sequence[str] | str | None, ranks: Sequence[int], min_step: int | None, max_step: int | None
    ) -> Any:
        from runstream.api.exporting import FORMATS, points_request

        return points_request(self.entity, self.project, [self.id], keys, ranks, min_step, max_step, FORMATS["arrow"])

    def series(
        self,
        keys: Sequence[str] | str | None = None,
        page_size: int = 100_000,
        min_step: int | None = None,
        max_step: int | None = None,
        rank: int | None = None,
    ) -> Iterator[StoredSeries]:
        """Yield raw points as columns, a piece at a time: a long series comes in several pieces, in order."""
        names = self.metrics() if keys is None else as_list(keys)
        yield from read_series(self._api, self, names, page_size, min_step, max_step, rank)

    def __repr__(self) -> str:
        return f"Run({'/'.join(self.path)!r}, {self.name!r}, {self.state})"


def read_run(api: Connection, path: str) -> StoredRun:
    """See `Api.run`."""
    from runstream_proto.v1 import query_pb2 as pb

    team, project, run = split_path(path, 3)
    request = pb.GetRunRequest(team=team, project=project, run=run, omit_completeness=True)
    return StoredRun(api, api.ask("GetRun", request))
