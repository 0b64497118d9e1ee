"""The request for one run, over HTTP and JSON: a training process loads no gRPC for it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from runstream.server.key_file import Credentials
from runstream.settings import Settings

_MAX_ANSWER_BYTES = 256 << 20
"""The most bytes of an answer; the server sends 160 MiB of large values at most."""


def request_run(settings: Settings, run: str, timeout_s: float, *, large_values: bool = False) -> dict[str, Any] | None:
    """Return the answer to GetRun, None where there is no such run. Waits `timeout_s` at most.

    Raises OSError; ValueError where nobody can be asked, or the answer is none.
    """
    if settings.mode != "online":
        raise ValueError("the run is offline")
    key = settings.api_key or Credentials(settings.root).find(settings.base_url)
    if not key:
        raise ValueError("no API key is known")
    fields: dict[str, object] = {"team": settings.entity, "project": settings.project, "run": run}
    fields |= {"omit_completeness": True, "large_values": large_values}
    request = urllib.request.Request(  # noqa: S310  # base_url is checked to be http(s)
        f"{settings.base_url.rstrip('/')}/api/v1/GetRun",
        data=json.dumps(fields).encode(),
        headers={"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=max(timeout_s, 0.1)) as response:  # noqa: S310
            answer = json.loads(response.read(_MAX_ANSWER_BYTES))
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise
    if not isinstance(answer, dict):
        raise ValueError("the server's answer is no run")
    return answer


def error_text(error: Exception) -> str:
    """Return in words why a request failed."""
    reason = getattr(error, "reason", None)
    return str(reason or error) or type(error).__name__
