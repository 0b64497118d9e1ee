"""Which process of a job this is, and which run the job's processes share.

Arguments and RUNSTREAM_* come first, then the launcher's variables (`launchers.py`), so that every rank may simply
call `runstream.init()`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from runstream.base.run_names import encode_id
from runstream.errors import UsageError
from runstream.ranks.launchers import Identity, JobPlace, find_identity, find_place


@dataclass(frozen=True, slots=True)
class Job:
    """A process's place in its job."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    node_rank: int = 0
    restart_count: int = 0
    launcher: str = "none"
    identity: Identity = Identity()


def detect(environment: Mapping[str, str] | None = None, rank: int | None = None, world_size: int | None = None) -> Job:
    """Return the job that this process is part of.

    Raises UsageError when rank and world size contradict each other, or a launcher's variable is no number.
    """
    environment = os.environ if environment is None else environment
    place = find_place(environment)
    job = Job() if place is None else _job(place, environment)
    if rank is not None or world_size is not None:
        job = replace(
            job,
            rank=job.rank if rank is None else rank,
            world_size=job.world_size if world_size is None else world_size,
        )
        if place is None and job.world_size > 1:  # the ranks are the caller's own, but there may be a meeting point
            job = replace(job, identity=find_identity(environment, JobPlace(job.rank, job.world_size)))
    if not 0 <= job.rank < job.world_size or job.world_size > 1 << 24:
        raise UsageError(f"rank {job.rank} of a world of {job.world_size}: give 0 <= rank < world_size")
    return job


def _job(place: JobPlace, environment: Mapping[str, str]) -> Job:
    identity = find_identity(environment, place) if place.world_size > 1 else Identity()
    return Job(
        place.rank,
        place.world_size,
        place.local_rank,
        place.node_rank,
        place.restart_count,
        place.launcher,
        identity,
    )


def run_id_of(identity: str, nth: int, generation: int = 0) -> str:
    """Return the run id that all ranks of the job of this identity compute alike.

    It is for the `nth` run (from 0) of their processes, and the `generation`th job (from 0) that has the identity.
    """
    import hashlib  # it loads 3 MB of OpenSSL, which a job of one rank does not need

    text = f"{identity}/{nth}" + (f"/{generation}" if generation else "")
    return encode_id(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))
