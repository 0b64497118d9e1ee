"""What a trainer logs beside points and texts: each document's content follows from (seed, run, rank, attempt, row)."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.faults.truth import Order

Key = tuple[Any, ...]
"""Kind, run, and what names one value of that kind within its run."""
Item = tuple[Key, Any]

DUE = {
    "histograms": (60, 7),
    "tables": (90, 13),
    "media": (120, 17),
    "summary": (40, 23),
    "config": (110, 29),
    "alerts": (200, 31),
    "files": (300, 37),
    "console": (25, 3),
}
"""Every so many rows, and at which of them: no two kinds but the console share a row."""


def due(index: int) -> list[str]:
    return [kind for kind, (every, at) in DUE.items() if index % every == at]


def dice(order: Order, index: int, kind: str) -> random.Random:
    return random.Random(f"{order.seed}/{order.run}/{order.rank}/{order.attempt}/{index}/{kind}")


def histogram(order: Order, index: int) -> tuple[list[float], list[float]]:
    """Counts and edges."""
    thrown = dice(order, index, "histogram")
    counts = [float(thrown.randrange(1000)) for _ in range(8)]
    return counts, sorted(thrown.uniform(-1, 1) for _ in range(9))


def table(order: Order, index: int) -> list[list[Any]]:
    thrown = dice(order, index, "table")
    return [[number, f"row {thrown.randrange(1 << 40)}", thrown.random()] for number in range(5)]


def page(order: Order, index: int) -> str:
    """HTML: media of known bytes."""
    return f"<p>{order.run} {order.rank} {order.attempt} {index}</p>{dice(order, index, 'media').randbytes(3000).hex()}"


def line(order: Order, index: int) -> str:
    return f"line of attempt {order.attempt}, record {index}, {dice(order, index, 'console').randrange(1 << 60):x}"


def number(order: Order, index: int, kind: str) -> float:
    return dice(order, index, kind).random()


def kept(order: Order, index: int) -> bytes:
    return dice(order, index, "files").randbytes(2000)


def file_name(order: Order) -> str:
    return f"kept-{order.rank}.bin"


def config(order: Order) -> dict[str, Any]:
    """What rank 0 gives to `init()`."""
    thrown = dice(order, -1, "config")
    return {"rate": thrown.random(), "nested": {"attempt": order.attempt, "sizes": [thrown.randrange(99)] * 3}}


def tags(order: Order) -> list[str]:
    return ["laboratory", f"attempt {order.attempt}"]


def notes(order: Order) -> str:
    return f"notes of attempt {order.attempt}: {dice(order, -1, 'notes').randrange(1 << 60)}"


def of_init(order: Order) -> Iterator[Item]:
    """What the record of the start holds."""
    if order.rank:
        return
    found = config(order)
    for key, value in (
        ("rate", found["rate"]),
        ("nested.attempt", found["nested"]["attempt"]),
        ("nested.sizes", found["nested"]["sizes"]),
    ):
        yield ("fields", order.run, "config", key), _json(value)
    yield ("fields", order.run, "run", "tags"), _json(tags(order))
    yield ("fields", order.run, "run", "notes"), _json(notes(order))


def of_row(order: Order, writer: str, index: int, step: int) -> Iterator[Item]:
    """The documents that are logged with a row, in the order of their records, as they are stored."""
    run, rank = order.run, order.rank
    for kind in due(index):
        match kind:
            case "histograms":
                counts, edges = histogram(order, index)
                yield ("histograms", run, "weights", rank, step), (tuple(edges), tuple(counts))
            case "tables":
                yield ("tables", run, "predictions", rank, step), (("n", "word", "score"), _json(table(order, index)))
            case "media":
                data = page(order, index).encode()
                yield ("media", run, "page", rank, step, 0), (sha256(data), len(data), "text/html")
            case "summary":
                yield ("fields", run, "summary", f"best {rank}"), _json(number(order, index, kind))
            case "config":
                yield ("fields", run, "config", f"late {rank}"), _json(number(order, index, kind))
            case "alerts":
                yield ("alerts", run, writer, f"alert {index}"), (rank, "warn", line(order, index))
            case "files":
                data = kept(order, index)
                yield ("files", run, file_name(order)), (sha256(data), len(data))
            case "console":
                every, at = DUE["console"]
                yield ("console", run, rank, writer, (index - at) // every), line(order, index)


def log(run: Any, order: Order, index: int, step: int) -> None:
    """Log what is due with a row: the trainer's side of `of_row`."""
    import runstream

    for kind in due(index):
        match kind:
            case "histograms":
                run.log({"weights": runstream.Histogram(np_histogram=histogram(order, index))}, step=step)
            case "tables":
                run.log({"predictions": runstream.Table(["n", "word", "score"], table(order, index))}, step=step)
            case "media":
                run.log({"page": runstream.Html(page(order, index), data_is_not_path=True)}, step=step)
            case "summary":
                run.summary[f"best {order.rank}"] = number(order, index, kind)
            case "config":
                run.config.update({f"late {order.rank}": number(order, index, kind)}, allow_val_change=True)
            case "alerts":
                run.alert(f"alert {index}", line(order, index), level="WARN")
            case "files":
                path = Path(order.oracle).with_suffix(".files") / file_name(order)
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(kept(order, index))
                run.save(str(path), base_path=str(path.parent), policy="now")
            case "console":
                print(line(order, index), flush=True)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
