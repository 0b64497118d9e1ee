"""The run id that a job's ranks share, where their launcher's identity alone does not settle it (decision 26).

An identity that is certain needs no request. An address and port, or a name that people chose, may have been another
job's before. Then the store of torch's process group is asked where there is one, else the server, which knows the runs
of that name that are over. Where neither can be asked, no run is guessed: two experiments in one run cannot be told
apart again.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runstream.base.run_names import new_run_id
from runstream.errors import SpoolError
from runstream.ranks.job import Job, run_id_of
from runstream.settings import Settings
from runstream.spool import files

_KEEP_TURNS_S = 90 * 86400.0
"""How long turns are kept: no job that its launcher restarts takes longer."""
_GENERATIONS = 1000
"""The most jobs of one name that the search looks at. After them each rank gets a run of its own, and is told so."""


_PATIENCE = 5
"""How many times `resume_timeout_s` a rank waits for a slow server: a rank that gives up early stays apart for good."""


class SilentError(Exception):
    """Neither the server nor the store says whether a run exists; the message says why."""


def common_run_id(settings: Settings, job: Job, nth: int) -> tuple[str, str]:
    """Return the id of the `nth` run (from 0) of this process, and a sentence for people where ranks do not share it.

    Waits for the server only where the identity may have been another job's, five times `resume_timeout_s` at most.
    Never raises.
    """
    identity = job.identity
    if settings.mode == "disabled":
        return new_run_id(), ""
    if identity.text and not identity.reusable:
        return run_id_of(identity.text, _turn(settings, job, nth) if identity.of_command else nth), ""
    if not identity.trusted and (met := _met_in_store(job, nth, settings.resume_timeout_s)):
        return met, ""
    trouble = "the launcher gives the ranks nothing in common that names the job"
    if identity.text:
        try:
            return _free_run(lambda run: _ask(settings, run), job, nth), ""
        except SilentError as error:
            trouble = f"{identity.text} may have named another job before, and the server could not be asked ({error})"
        if identity.trusted:
            return run_id_of(identity.text, nth), ""
    return new_run_id(), (
        f"rank {job.rank} of {job.world_size} is recorded as a run of its own: {trouble}. For one run of all ranks set "
        "RUNSTREAM_RUN_ID to the same new value on every rank"
    )


def _turn(settings: Settings, job: Job, nth: int) -> int:
    """Return how many runs the command of this rank began before this one, in any process.

    `srun bash -c "a; b"` is two trainings, on each rank one after the other. Each turn is a file in the node's folder,
    which one process alone can make.
    """
    key = run_id_of(f"{job.identity.text}/{job.restart_count}/{job.rank}", 0)
    folder = settings.root / "jobs"
    try:
        files.private_folder(files.private_folder(settings.root) / folder.name)
        _forget_old(folder)
        for turn in itertools.count():
            with contextlib.suppress(FileExistsError):
                os.close(os.open(folder / f"{key}-{turn}", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
                return turn
    except (OSError, SpoolError):
        pass  # the folder cannot be written; the spool reports that
    return nth


def _forget_old(folder: Path) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # another rank has removed it
                if time.time() - entry.stat().st_mtime > _KEEP_TURNS_S:
                    Path(entry.path).unlink()


def _free_run(ask: Callable[[str], dict[str, Any] | None], job: Job, nth: int) -> str:
    """Return the first run of the job's name that is not another job's.

    Such a run does not exist, or is open and lacks this rank. A job that its launcher restarted goes on in the last
    run. Raises SilentError.
    """
    before = ""
    for generation in range(_GENERATIONS):
        run = run_id_of(job.identity.text, nth, generation)
        answer = ask(run)
        if answer is None:
            return before if before and job.restart_count else run
        reported = {int(item["rank"]) for item in answer.get("last_steps", [])}
        if not job.restart_count and answer.get("state") == "RUN_STATE_RUNNING" and job.rank not in reported:
            return run
        before = run
    raise SilentError(f"it has named {_GENERATIONS} jobs")


def _ask(settings: Settings, run: str) -> dict[str, Any] | None:
    """Return the run as the server has it; None where it has none. Raises SilentError."""
    from runstream.server.run_lookup import (  # brings OpenSSL, which a certain identity needs not
        error_text,
        request_run,
    )

    try:
        return request_run(settings, run, _PATIENCE * settings.resume_timeout_s)
    except (OSError, ValueError) as error:
        raise SilentError(error_text(error)) from error


def _met_in_store(job: Job, nth: int, timeout_s: float) -> str:
    """Return the id that the first rank left in the store of torch's process group, which only this job has.

    Returns an empty text where there is no store. Torch is never imported for it.
    """
    torch = sys.modules.get("torch.distributed")
    if torch is None:
        return ""
    import threading

    found: list[str] = []

    def meet() -> None:
        try:
            if torch.is_available() and torch.is_initialized() and torch.get_world_size() == job.world_size:
                store = torch.distributed_c10d._get_default_store()
                found.append(bytes(store.compare_set(f"runstream/run/{nth}", "", new_run_id())).decode())
        except Exception:  # noqa: BLE001  # a version of torch may raise anything: the caller tries the next way
            return

    # In a thread of its own: a store whose host is gone would block this one for half an hour.
    thread = threading.Thread(target=meet, name="runstream-meeting", daemon=True)
    thread.start()
    thread.join(timeout_s)
    return found[0] if found else ""
