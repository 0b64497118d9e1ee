"""The best trials of a sweep, page by page."""

from __future__ import annotations

from collections.abc import Iterator

from runstream.sweeps.client import Client
from runstream.sweeps.sweep_info import TrialInfo


def front_of(client: Client, sweep: str) -> Iterator[TrialInfo]:
    """Yield the best trial; with several objectives, all trials that no other trial beats in every objective."""
    found = client.call("GetBestTrials", sweep=sweep)
    yield from map(TrialInfo.of, found.get("trials", []))
    while token := found.get("next_page_token", ""):
        found = client.call("GetBestTrials", sweep=sweep, page_token=token)
        yield from map(TrialInfo.of, found.get("trials", []))
