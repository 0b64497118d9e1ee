"""Where a resumed run's steps go on: asked of the server within a short deadline, and read from the own spool."""

from __future__ import annotations

import contextlib
import hashlib
import json
import struct
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from runstream.credentials import Credentials
from runstream.errors import SpoolError
from runstream.settings import Settings
from runstream.spool import format
from runstream.spool.folder import SpoolFolder, read_meta
from runstream.spool.format import Place
from runstream.spool.reader import SpoolReader

_STEP = struct.Struct("@q")


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is known of the run from before."""

    exists: bool | None
    """None: the server did not say."""
    last_step: int | None
    """Of this rank; None where no step is known."""
    trouble: str = ""


def find_earlier(settings: Settings, run: str, rank: int) -> Earlier:
    """Ask server and spool. Never raises; takes `resume_timeout_s` at most where the server is silent."""
    local = _last_local_step(settings, run, rank)
    try:
        if settings.mode != "online":
            raise ValueError("the run is offline")
        exists, remote = _ask_server(settings, run, rank)
        trouble = ""
    except (OSError, ValueError, KeyError) as error:
        exists, remote, trouble = None, None, _words(error)
    steps = [step for step in (local, remote) if step is not None]
    if local is not None:
        exists = True
    return Earlier(exists, max(steps) if steps else None, trouble)


def _ask_server(settings: Settings, run: str, rank: int) -> tuple[bool, int | None]:
    key = settings.api_key or Credentials(settings.root).find(settings.base_url)
    if not key:
        raise ValueError("no API key is known")
    question = {"team": settings.entity, "project": settings.project, "run": run, "omit_completeness": True}
    request = urllib.request.Request(  # noqa: S310  # base_url is checked to be http(s)
        f"{settings.base_url.rstrip('/')}/api/v1/GetRun",
        data=json.dumps(question).encode(),
        headers={"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=max(settings.resume_timeout_s, 0.1)) as response:  # noqa: S310
            answer = json.loads(response.read(64 << 20))
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return False, None
        raise
    steps = [int(item["step"]) for item in answer.get("last_steps", []) if int(item["rank"]) == rank]
    return True, max(steps) if steps else None


class _LastStep:
    """A sink that keeps the highest step."""

    def __init__(self) -> None:
        self.step: int | None = None

    def row(self, keyset: tuple[str, ...], number: int, time_us: int, step_and_values: memoryview) -> bool:
        (step,) = _STEP.unpack_from(step_and_values)
        self.step = step if self.step is None else max(self.step, step)
        return True

    def json(self, number: int, time_us: int, data: bytes) -> bool:
        return True


def _last_local_step(settings: Settings, run: str, rank: int) -> int | None:
    """The highest step of the run and rank in streams that are not sent yet."""
    sink = _LastStep()
    for folder in SpoolFolder(settings.root).stream_folders():
        with contextlib.suppress(SpoolError, OSError, ValueError):
            meta = read_meta(folder)
            if (meta.project, meta.run, meta.rank, meta.system) == (settings.project, run, rank, False):
                reader = SpoolReader(folder, Place(0, format.HEADER_BYTES))
                try:
                    reader.drain(sink)
                finally:
                    reader.close()
    return sink.step


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason or error) or type(error).__name__


class AutoResume:
    """`resume="auto"`: remembers the run that this folder's script has open, until it ends well."""

    def __init__(self, settings: Settings) -> None:
        place = f"{Path.cwd()}|{settings.entity}|{settings.project}|{settings.base_url}"
        name = hashlib.sha256(place.encode()).hexdigest()[:24]
        self._path = settings.root / "resume" / f"{name}.json"

    def run_id(self) -> str:
        """The unfinished run's id; empty when there is none."""
        try:
            return str(json.loads(self._path.read_text(encoding="utf-8"))["run"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def remember(self, run: str) -> None:
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.write_text(json.dumps({"run": run}), encoding="utf-8")

    def forget(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
