"""Whether everything that runs logged is stored: the server's verdicts, as dicts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from runstream.api.convert import split_path

if TYPE_CHECKING:
    from runstream.api.connection import Connection
    from runstream_proto.v1 import query_pb2 as pb

_AT_ONCE = 200


def verdict_of(found: pb.Completeness) -> dict[str, Any]:
    """Return the keys that `StoredRun.completeness` describes."""
    names = ("logged", "received", "stored", "rejected", "dropped")
    return {
        "verdict": found.Verdict.Name(found.verdict).removeprefix("VERDICT_").lower(),
        **{f"points_{name}": getattr(found, f"points_{name}") for name in names},
        "missing": [
            {"writer": gap.writer_id, "rank": gap.rank, "first": gap.first_record, "last": gap.last_record}
            for gap in found.missing
        ],
        "findings": list(found.findings),
        "rows_counted": found.rows_counted,
        "rows_proved": found.rows_proved,
        "documents_counted": found.documents_counted,
        "documents_proved": found.documents_proved,
        "computed": found.computed.ToJsonString(),
        "computed_by": found.computed_by,
    }


def verdicts(api: Connection, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the id and the verdict of every run of a project, the oldest first."""
    from runstream_proto.v1 import query_pb2 as pb

    team, project = split_path(path, 2)
    token = ""
    while True:
        listed = pb.ListRunsRequest(team=team, project=project, page_size=_AT_ONCE, page_token=token)
        listed.order.append("+created_at")
        listed.fields.append("none")
        page = api.ask("ListRuns", listed)
        if page.runs:
            request = pb.VerifyRunsRequest(team=team, project=project, runs=[run.id for run in page.runs])
            for one in api.ask("VerifyRuns", request).runs:
                yield one.run, verdict_of(one.completeness)
        token = page.next_page_token
        if not token:
            return
