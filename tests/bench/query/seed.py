"""What the benchmark asks about, made by the engine itself: three projects, stored as the writer would."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

START_US = 1_790_000_000_000_000
MONTH = "toDate('2026-09-01')"
SPIKE_STEP = 7_654_321


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of the seeded projects."""

    runs: int = 10_000
    metrics: int = 100
    config_keys: int = 20
    workspace_runs: int = 20
    workspace_steps: int = 1000
    long_steps: int = 10_000_000
    names: int = 100_000
    ranks: int = 1024
    rank_steps: int = 2000
    trials: int = 100_000

    @classmethod
    def quick(cls) -> Sizes:
        """A tenth, for a look."""
        return cls(runs=1000, long_steps=1_000_000, names=10_000, ranks=128, trials=10_000)


def seed(
    client: Any, sizes: Sizes, say: Callable[[str], None], only: Collection[str] = ("wide", "deep", "sweep")
) -> None:
    """Fill the projects main/wide, main/deep and main/sweep. `client`: a synchronous clickhouse-connect client."""
    for project, name, statements in (
        ("wide", f"{sizes.runs} runs x {sizes.metrics} metrics", _wide(sizes)),
        ("deep", f"a series of {sizes.long_steps} steps, {sizes.names} names, {sizes.ranks} ranks", _deep(sizes)),
        ("sweep", f"a sweep of {sizes.trials} runs", _sweep(sizes)),
    ):
        if project not in only:
            continue
        say(f"seeding {name}")
        for statement in statements:
            client.command(statement, settings={"max_execution_time": 600, "max_insert_threads": 1})


def log_on(client: Any) -> None:
    """Three runs of the first project log a step, as the writer stores it, and give a sign of life."""
    step = time.time_ns() // 1_000_000
    runs = "concat('run-', leftPad(toString(number % 3), 6, '0'))"
    metric = "concat('group-0/metric-', toString(intDiv(number, 3)))"
    value = "rand() / 1e9, now64(6)"
    for table, columns in (
        ("points", f"{step}, {value}, 1, {MONTH}"),
        ("series", f"(toInt64({step}), toUInt64(1), {value}), {step}, {MONTH}"),
    ):
        client.command(f"INSERT INTO {table} SELECT 'main/wide', {runs}, {metric}, 0, {columns} FROM numbers(30)")
    client.command(
        "INSERT INTO streams "
        "(project, run, writer, event, rank, epoch, time, received, run_created, version, run_month) "
        f"SELECT 'main/wide', {runs}, concat('writer-', toString(number)), 'heartbeat', 0, 1, now64(6), now64(6), "
        f"fromUnixTimestamp64Micro({START_US} + number * 1000000), {step}, {MONTH} FROM numbers(3)"
    )


def _points(project: str, run: str, metric: str, rank: str, step: str, value: str, rows: int, where: str = "1") -> str:
    """`run`, ...: SQL over `number`."""
    return (
        f"INSERT INTO points SELECT 'main/{project}', {run}, {metric}, {rank}, {step}, {value}, "
        f"fromUnixTimestamp64Micro({START_US} + toInt64({step}) * 1000), number + 1, {MONTH} "
        f"FROM numbers({rows}) WHERE {where}"
    )


def _series(project: str) -> str:
    return (
        "INSERT INTO series "
        "SELECT project, run, metric, rank, max((step, version, value, time)), min(step), any(run_month) "
        f"FROM points WHERE project = 'main/{project}' GROUP BY project, run, metric, rank"
    )


def _streams(project: str, run: str, runs: int, ranks: int = 1) -> list[str]:
    columns = (
        "(project, run, writer, event, rank, epoch, world_size, host, user, outcome, time, received, run_created, "
        "version, run_month)"
    )
    made = f"fromUnixTimestamp64Micro({START_US} + toInt64(intDiv(number, {ranks})) * 1000000)"
    last = f"({made} + 600)"
    return [
        f"INSERT INTO streams {columns} "
        f"SELECT 'main/{project}', {run}, concat('writer-', toString(number)), '{event}', "
        f"number % {ranks}, 1 + number % {ranks}, {ranks}, concat('host-', toString(intDiv(number % {ranks}, 8))), "
        f"'user-' || toString(number % 7), "
        f"if('{event}' = 'finish', ['finished', 'finished', 'failed'][1 + number % 3], ''), "
        f"{time}, {time}, {made}, 1, {MONTH} FROM numbers({runs * ranks})"
        for event, time in (("start", made), ("finish", last))
    ]


def _fields(project: str, run: str, section: str, key: str, value: str, rows: int) -> str:
    return (
        "INSERT INTO run_fields (project, run, section, key, value, time, version, run_month) "
        f"SELECT 'main/{project}', {run}, '{section}', {key}, {value}, now64(6), 1, {MONTH} FROM numbers({rows})"
    )


def _wide(sizes: Sizes) -> list[str]:
    few = 10
    per_run = few * sizes.metrics
    many = sizes.workspace_runs * sizes.metrics * sizes.workspace_steps
    value = "sin(number / 1e4) + rand() % 1000 / 1e3"
    return [
        _points(
            "wide",
            f"concat('run-', leftPad(toString(intDiv(number, {per_run})), 6, '0'))",
            f"concat('group-', toString(intDiv(intDiv(number, {few}) % {sizes.metrics}, 10)), '/metric-', "
            f"toString(intDiv(number, {few}) % {sizes.metrics}))",
            "0",
            f"number % {few}",
            value,
            sizes.runs * per_run,
        ),
        _points(
            "wide",
            f"concat('run-', leftPad(toString(intDiv(number, {sizes.metrics * sizes.workspace_steps})), 6, '0'))",
            f"concat('group-', toString(intDiv(intDiv(number, {sizes.workspace_steps}) % {sizes.metrics}, 10)), "
            f"'/metric-', toString(intDiv(number, {sizes.workspace_steps}) % {sizes.metrics}))",
            "0",
            f"{few} + number % {sizes.workspace_steps}",
            value,
            many,
        ),
        _series("wide"),
        *_streams("wide", "concat('run-', leftPad(toString(number), 6, '0'))", sizes.runs),
        _fields(
            "wide",
            f"concat('run-', leftPad(toString(intDiv(number, {sizes.config_keys})), 6, '0'))",
            "config",
            f"if(number % {sizes.config_keys} = 0, 'lr', "
            f"concat('model.option-', toString(number % {sizes.config_keys})))",
            f"if(number % {sizes.config_keys} = 0, toString(pow(10, -1 - rand() % 5000 / 1000)), "
            f"if(number % 2 = 0, toString(rand() % 64), concat('\"choice-', toString(rand() % 9), '\"')))",
            sizes.runs * sizes.config_keys,
        ),
        _fields(
            "wide",
            "concat('run-', leftPad(toString(intDiv(number, 3)), 6, '0'))",
            "run",
            "['name', 'tags', 'group'][1 + number % 3]",
            "[concat('\"brave-run-', toString(intDiv(number, 3)), '\"'), "
            "concat('[\"tag-', toString(intDiv(number, 3) % 5), '\"]'), "
            "concat('\"group-', toString(intDiv(number, 3) % 11), '\"')][1 + number % 3]",
            sizes.runs * 3,
        ),
    ]


def _deep(sizes: Sizes) -> list[str]:
    # In pieces, as a writer would: the parts are merged later.
    piece = max(sizes.long_steps // 20, 1)
    long = [
        _points(
            "deep",
            "'long'",
            "'loss'",
            "0",
            f"{start} + number",
            f"if({start} + number = {SPIKE_STEP % sizes.long_steps}, 1000, sin(number / 1e5) + rand() % 1000 / 1e4)",
            piece,
        )
        for start in range(0, sizes.long_steps, piece)
    ]
    number = f"number % {sizes.names}"
    name = (
        f"concat(['train', 'val', 'layer'][1 + {number} % 3], '/', toString({number} % 97), '/weight-', "
        f"toString({number}))"
    )
    return [
        *long,
        _points("deep", "'names'", name, "0", f"intDiv(number, {sizes.names})", "number", 3 * sizes.names),
        _points(
            "deep",
            "'ranks'",
            "'loss'",
            f"number % {sizes.ranks}",
            f"intDiv(number, {sizes.ranks})",
            "sin(number / 1e5) + rand() % 1000 / 1e4",
            sizes.ranks * sizes.rank_steps,
        ),
        _series("deep"),
        *_streams("deep", "'long'", 1),
        *_streams("deep", "'names'", 1),
        *_streams("deep", "'ranks'", 1, sizes.ranks),
    ]


def _sweep(sizes: Sizes) -> list[str]:
    trial = "concat('trial-', leftPad(toString(intDiv(number, {})), 6, '0'))"
    return [
        _points(
            "sweep",
            trial.format(30),
            "concat('metric-', toString(intDiv(number, 3) % 10))",
            "0",
            "number % 3",
            "rand() / 4294967295",
            sizes.trials * 30,
        ),
        _series("sweep"),
        *_streams("sweep", trial.format(1), sizes.trials),
        _fields("sweep", trial.format(1), "run", "'sweep_id'", "'\"sweep-1\"'", sizes.trials),
        _fields(
            "sweep", trial.format(1), "config", "'lr'", "toString(pow(10, -1 - rand() % 5000 / 1000))", sizes.trials
        ),
    ]
