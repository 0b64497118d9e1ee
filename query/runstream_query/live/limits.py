"""Every limit of the live stream, each with its reason."""

from __future__ import annotations

POLL_S = 0.5
"""What a person takes for at once. One question a project, however many watch."""
HEARTBEAT_S = 5.0
"""Proxies close what is silent for 30 to 60 s; and at each response the caller's key is looked at again."""
LINGER_S = 90.0
"""Who was cut off comes back within seconds; what arrived meanwhile waits so long."""
NEAR_S = 3.0
"""An insert of the ledger takes milliseconds, but a row may become visible after a later one: each question reaches
back so far, and knows what it has seen."""
FAR_S = 120.0
"""For replicas that lag and inserts that hang: now and then a question reaches back so far."""
FAR_EVERY_S = 10.0
SWEEP_S = 10.0
"""How often states are asked that no arrival announces: a run that fell silent, one that was deleted."""
MAX_SEEN = 200_000
"""Batches remembered: 40 MB. More of them, and questions reach back less far."""
MAX_ARRIVALS = 100_000
"""Batches found by one question; more are a reset."""
MAX_POINTS = 200_000
"""Of one run in one poll: more (an offline run that is sent at once) are a reset of that run, cheaper for all."""
MAX_ENTRY_POINTS = 50_000
"""In one response: about 1 MB, below gRPC's default of 4."""
MAX_LINES = 5_000
"""Console lines of a run in one poll; more are a reset. The SDK sends 200 a second and process."""
MAX_RECORDS = 5_000
"""Alerts, fields and keys of a run in one poll; more are a reset."""
RESET_EVERY_S = 5.0
"""Of one run: who reloads at each reset shall not reload all the time."""
RING_BYTES = 16 << 20
"""Kept for the watchers of one project that read slowly or come back; who is behind it is told to reload."""
ALL_RINGS_BYTES = 256 << 20
"""Of all projects together: each gets its share."""
MAX_WATCHERS = 500
"""Streams of this instance."""
MAX_WATCHERS_A_USER = 100
"""Whatever the key, so that one broken page or program cannot take all."""
MAX_RUNS = 100
MAX_METRICS = 200
MAX_RANKS = 10_000
MAX_PATTERN_CHARACTERS = 32_000
"""Of all patterns on one run together, for RE2; beyond it every metric is read, and sorted out here."""
MAX_CLUSTERS = 16
"""Questions for the points of one run: attempts that log at steps far apart are read apart."""
MAX_ROUNDS = 8
"""Gaps in the numbers of one process's records, in one poll; more, and records in the gaps may be told again."""
MAX_LINGERING = 50
"""Interests of one project whose watchers have gone; the oldest go first."""
STEP_GAP = 100_000
"""Steps that lie nearer together than this are read together: some granules of the table."""
