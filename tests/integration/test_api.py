"""`runstream.Api` against the real service: pages, rows, frames and files, all equal to the surviving rows."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from runstream import Api
from runstream.api import InvalidRequestError, MissingExtraError, NotFoundError, scanning
from tests.integration.world import World, mean_of, same
from tests.support.stack import ServiceStack

pytestmark = pytest.mark.parametrize("world", [1], indirect=True)
KEYS = ["loss", "acc", "ä/b c"]


@pytest.fixture(autouse=True)
def known_server(embedded: ServiceStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in embedded.sdk_environment(tmp_path / "spool").items():
        monkeypatch.setenv(name, value)


async def ask(question: Callable[[Api], Any]) -> Any:
    """The SDK asks in its own, blocking way."""
    return await asyncio.to_thread(lambda: question(Api()))


async def test_runs_are_a_sequence_that_is_read_page_by_page(world: World) -> None:
    def question(api: Api) -> None:
        asked: list[int] = []
        ask = api.ask
        api.ask = lambda method, request: (asked.append(1), ask(method, request))[1]  # type: ignore[method-assign]
        runs = api.runs(world.project, per_page=1)
        assert not asked
        assert len(runs) == 3 and len(asked) == 1
        ids = [run.id for run in runs]
        assert sorted(ids) == ["run-a", "run-b", "run-c"]
        assert len(asked) in (3, 4)  # an empty last page may be asked for
        before = len(asked)
        assert [run.id for run in runs] == ids and runs[-1].id == ids[2] and runs[0].id == ids[0]
        assert [run.id for run in runs[1:]] == ids[1:] and [run.id for run in runs[::-1]] == ids[::-1]
        assert next(runs).id == ids[0] and next(runs).id == ids[1]
        assert len(asked) == before
        with pytest.raises(IndexError):
            runs[3]
        with pytest.raises(InvalidRequestError):
            api.runs(world.project, per_page=0)

    await ask(question)


async def test_filters_and_orders_are_wandbs(world: World) -> None:
    def question(api: Api) -> None:
        assert [run.id for run in api.runs(world.project, order=["-id"], per_page=2)] == ["run-c", "run-b", "run-a"]
        found = api.runs(world.project, {"$or": [{"id": "run-c"}, {"id": {"$regex": "b$"}}]}, order="+id")
        assert [run.id for run in found] == ["run-b", "run-c"] and len(found) == 2
        assert len(api.runs(world.project, {"summary_metrics.nothing": {"$exists": True}})) == 0
        created = [run.created_at for run in api.runs(world.project, order="-created_at")]
        assert created == sorted(created, reverse=True)
        with pytest.raises(InvalidRequestError):
            len(api.runs(world.project, {"id": {"$near": 1}}))

    await ask(question)


@pytest.mark.parametrize(("page_size", "bounds"), [(1000, (None, None)), (17, (-3, 41))])
async def test_scan_history_gives_rows_that_have_every_key(
    world: World, page_size: int, bounds: tuple[int | None, int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "_LEAST_POINTS", 1)
    low, high = bounds
    rows: dict[tuple[int, int], dict[str, float]] = {}
    for (run, metric, rank, step), (_, value, _) in world.surviving.items():
        if run == "run-b" and (low is None or step >= low) and (high is None or step <= high):
            rows.setdefault((rank, step), {})[metric] = value
    for keys in (None, ["loss"], ["loss", "acc"], KEYS):
        got = await ask(
            lambda api, keys=keys: list(
                api.run(f"{world.project}/run-b").scan_history(keys, page_size, min_step=low, max_step=high)
            )
        )
        wanted = {place: row for place, row in rows.items() if keys is None or all(key in row for key in keys)}
        assert [(row["_rank"], row["_step"]) for row in got] == sorted(wanted)
        for row in got:
            expected = wanted[row.pop("_rank"), row.pop("_step")]
            shown = expected if keys is None else {key: expected[key] for key in keys}
            assert row.keys() == shown.keys() and all(same(row[key], shown[key]) for key in row)
    assert not await ask(lambda api: list(api.run(f"{world.project}/run-b").scan_history(["acc"], rank=7)))
    with pytest.raises(NotFoundError, match="near it: loss"):
        await ask(lambda api: list(api.run(f"{world.project}/run-b").scan_history(["los"])))


async def test_a_scan_passes_gaps_and_crowds_without_holding_more_than_a_few_pages(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "_LEAST_POINTS", 1)
    held: list[int] = []
    rows = scanning._rows

    def watched(*arguments: Any) -> Any:
        found = rows(*arguments)
        held.append(found[1])
        return found

    monkeypatch.setattr(scanning, "_rows", watched)
    got = await ask(lambda api: list(api.run(f"{world.project}/run-a").scan_history(["loss"], page_size=10)))
    assert len(got) == sum(len(series) for series in world.series("run-a", "loss").values())
    assert len(held) > 3 and max(held) <= 4 * 10


@pytest.mark.parametrize("kind", ["default", "pandas", "polars", "arrow"])
async def test_histories_of_many_runs_are_the_means_over_ranks(world: World, kind: str) -> None:
    found = await ask(lambda api: api.runs(world.project).histories(samples=1000, keys=["loss", "acc"], format=kind))
    if kind == "pandas":
        rows = found.astype(object).to_dict("records")
    else:
        rows = found if kind == "default" else found.to_pylist() if kind == "arrow" else found.to_dicts()
    got = {(row["run_id"], row["_step"]): row for row in rows}
    for run in ("run-a", "run-b", "run-c"):
        for metric in ("loss", "acc"):
            by_step: dict[int, list[float]] = {}
            for series in world.series(run, metric).values():
                for step, value in series:
                    by_step.setdefault(step, []).append(value)
            for step, values in by_step.items():
                assert same(got[run, step][metric], mean_of(values))
    if kind in ("arrow", "polars"):
        assert any(row["acc"] is None for row in rows), "nothing is null, not NaN"


async def test_history_has_the_bands_and_other_axes(world: World) -> None:
    rows = await ask(lambda api: api.run(f"{world.project}/run-a").history(5, ["loss"], pandas=False))
    assert 1 <= len(rows) <= 6 and {"_step", "loss", "loss.min", "loss.max", "loss.count"} <= rows[0].keys()
    timed = await ask(lambda api: api.run(f"{world.project}/run-a").history(5, ["loss"], "_timestamp", pandas=False))
    assert all(row["_timestamp"] >= 1_790_000_000 for row in timed)
    against = await ask(lambda api: api.run(f"{world.project}/run-a").history(500, ["loss", "acc"], "acc", rank=0))
    assert list(against.columns)[0] == "acc" and against["acc"].is_monotonic_increasing


async def test_points_come_as_frames_readers_and_files(world: World, tmp_path: Path) -> None:
    count = sum(place[0] == "run-a" for place in world.surviving)

    def question(api: Api) -> None:
        run = api.run(f"{world.project}/run-a")
        assert len(run.points()) == len(run.points(format="polars")) == run.points(format="arrow").num_rows == count
        assert run.points(format="default")[0].keys() == {"run", "metric", "rank", "step", "value", "time"}
        assert sum(batch.num_rows for batch in run.point_reader(["l*"])) == len(run.points(["loss"]))
        for name in ("all.parquet", "all.csv", "all.arrow"):
            assert run.export(tmp_path / name) == (tmp_path / name).stat().st_size > 0
        assert api.runs(world.project).export(tmp_path / "runs.parquet", ["loss"], ranks=[1]) > 0
        with pytest.raises(InvalidRequestError, match=r"end the path in \.parquet"):
            run.export(tmp_path / "all.xlsx")
        with pytest.raises(NotFoundError):
            run.export(tmp_path / "none.csv", ["nope"])

    await ask(question)
    assert pyarrow.parquet.read_table(tmp_path / "all.parquet").num_rows == count
    table = pyarrow.parquet.read_table(tmp_path / "runs.parquet")
    expected = [v for (_, m, rank, _), (_, v, _) in world.surviving.items() if m == "loss" and rank == 1]
    assert math.isclose(
        sum(filter(math.isfinite, table.column("value").to_pylist())),
        sum(filter(math.isfinite, expected)),
        rel_tol=1e-6,
    )
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "spool") == [
        "all.arrow",
        "all.csv",
        "all.parquet",
        "runs.parquet",
    ]


@pytest.mark.parametrize(("package", "extra"), [("pandas", "pandas"), ("polars", "polars"), ("pyarrow", "arrow")])
async def test_a_missing_package_is_named_with_its_extra(
    world: World, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    kind = {"pandas": "pandas", "polars": "polars", "pyarrow": "arrow"}[package]
    with pytest.raises(MissingExtraError, match=rf"pip install 'runstream\[{extra}\]'"):
        await ask(lambda api: api.runs(world.project).histories(keys=["loss"], format=kind))
    if package == "pandas":
        with pytest.raises(MissingExtraError):
            await ask(lambda api: api.run(f"{world.project}/run-a").history())
