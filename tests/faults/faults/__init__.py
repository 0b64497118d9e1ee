"""The faults, each a function that does its worst while a workload runs. What must hold is the same for all: see
`rounds`. `FAULTS` names them, with the kind of lab that each needs."""

from __future__ import annotations

from tests.faults.codes import DISK_LAB, FOREIGN_LAB, UP_LAB
from tests.faults.faults import services, storage, users
from tests.faults.faults.base import Fault, Round
from tests.faults.faults.hostile import check_hostile, honest, hostile_user
from tests.faults.faults.network import lost_answers, network, reorder
from tests.faults.faults.processes import (
    FAILPOINTS,
    failpoints,
    kill,
    kill_all,
    kill_broker,
    kill_one_of_three,
    kill_sdk,
    kill_sender,
    stop,
    stop_sdk,
    storm,
)
from tests.faults.faults.several import several
from tests.faults.faults.silence import as_usual, check_dead, dead_streams, nobody_listens
from tests.faults.faults.storage import check_flipped, fill, flip_bytes, no_tokens, offline, small_spool
from tests.faults.faults.topic import check_letters, check_replay, poison, replay_later
from tests.faults.faults.users import check_recorded, clocks, old_sdk, rewrite, step_clocks

__all__ = ("FAILPOINTS", "FAULTS", "Fault", "Round")

FAULTS: tuple[Fault, ...] = (
    Fault("kill sdk", (1, 3, 0), kill_sdk, load_s=60),
    Fault("kill gateway", (1, 3), kill("gateway-1", "gateway-2"), watched=True),
    Fault("kill writer", (1, 3, 0), kill("writer-1", "writer-2", "ingest"), watched=True),
    Fault("kill query", (1, 0), kill("query"), watched=True),
    Fault("kill clickhouse", (1, 0), kill("clickhouse"), watched=True),
    Fault("kill broker", (1,), kill_broker, watched=True),
    Fault("kill leader", (3,), kill_one_of_three(leader=True)),
    Fault("kill follower", (3,), kill_one_of_three(leader=False)),
    Fault("kill all at once", (1, 0, 3), kill_all),
    Fault("stop writer", (1, 3), stop("writer-1", "writer-2"), load_s=6),
    Fault("stop gateway", (1,), stop("gateway-1", "gateway-2"), load_s=6),
    Fault("stop clickhouse", (1, 0), stop("clickhouse"), load_s=6),
    Fault("stop broker", (1,), stop("broker-1"), load_s=6),
    Fault("stop query", (1, 0), stop("query"), load_s=6),
    Fault("stop sdk", (1, 0), stop_sdk, load_s=6),
    Fault("failpoints", (1, 3, 0), failpoints, load_s=10),
    Fault("two gateways reordered", (1,), reorder),
    Fault("deduplication lost", (1, 0), no_tokens, load_s=10),
    Fault("rebalance storm", (1,), storm, load_s=15),
    Fault("answers lost", (1, 0), lost_answers, load_s=15),
    Fault("network", (1, 0), network, load_s=10, watched=True),
    Fault("poison", (1,), poison, after=check_letters),
    Fault("clock steps", (1,), step_clocks, before=clocks),
    Fault("replay from zero", (1,), replay_later, load_s=4, after=check_replay),
    Fault("old steps again", (1, 0), rewrite),
    Fault("bytes flipped", (0, 1), flip_bytes, load_s=4, before=offline, after=check_flipped, lossy=True),
    Fault("old sdk", (1, 0), old_sdk, load_s=4, after=check_recorded),
    Fault("threads and forks", (0, 1), users.undisturbed, load_s=4, before=users.threaded),
    Fault("sigterm with threads", (0, 1), users.terminate, load_s=5, before=users.threaded),
    Fault("forks at a roll", (0, 1), users.undisturbed, load_s=4, before=users.rolling),
    Fault("workers log", (0, 1), users.undisturbed, load_s=5, before=users.with_workers, watched=True),
    Fault("workers orphaned", (0, 1), users.kill_some, load_s=6, before=users.with_workers),
    Fault("exit in threads", (0, 1), users.undisturbed, load_s=4, before=users.leaving_threads),
    Fault("daemon threads", (0, 1), users.undisturbed, load_s=4, before=users.daemon_threads),
    Fault("dead streams", (0, 1), dead_streams, load_s=400, before=honest, after=check_dead, watched=True),
    Fault(
        "nobody listens",
        (0, 1),
        nobody_listens,
        load_s=400,
        before=honest,
        after=as_usual,
        watched=True,
    ),
    Fault("kill sender", (0, 1), kill_sender, load_s=60, watched=True),
    Fault("kill up", (UP_LAB,), services.kill_up, load_s=10, watched=True),
    Fault("control database damaged", (UP_LAB,), services.damage_control, load_s=10),
    Fault("postgres away", (FOREIGN_LAB,), services.postgres_away, load_s=10),
    Fault("object storage failing", (FOREIGN_LAB,), services.storage_failing, load_s=10, watched=True),
    Fault("key revoked", (0, 1), services.revoke_key),
    Fault("part hurt while running", (0,), users.undisturbed, load_s=3, after=storage.check_hurt_part),
    Fault("disk full under media", (DISK_LAB,), fill("media")),
    Fault("disk full under control", (DISK_LAB,), fill("control"), load_s=10),
    Fault("several at once", (0, 1), several, load_s=10),
    Fault("hostile user", (0, 1), hostile_user, load_s=300, before=honest, after=check_hostile, watched=True),
    Fault("part damaged", (0,), users.undisturbed, load_s=3, after=storage.check_damaged_part),
    Fault("disk full under clickhouse", (DISK_LAB,), fill("clickhouse"), after=check_letters),
    Fault("disk full under kafka", (DISK_LAB,), fill("kafka")),
    Fault("disk full under the spool", (1, 0), fill("spool"), before=small_spool),
)
