"""Set every limit of the live stream, each with its reason."""

from __future__ import annotations

POLL_S = 0.5
"""Seconds between two polls of a project: users perceive this as immediate. One poll serves all watchers."""
HEARTBEAT_S = 5.0
"""Proxies close a stream that is silent for 30 to 60 s; and the caller's key is checked again at each response."""
LINGER_S = 90.0
"""A disconnected watcher reconnects within seconds; events are kept for it during this time."""
NEAR_S = 3.0
"""An insert into the ledger takes milliseconds, but a row may become visible after a later one.

So each query reads this far back, and skips the batches that were seen.
"""
FAR_S = 120.0
"""For lagging replicas and hanging inserts: every FAR_EVERY_S a query reads this far back."""
FAR_EVERY_S = 10.0
SWEEP_S = 10.0
"""Seconds between two queries for changes that no batch announces: a run fell silent, or was deleted."""
MAX_SEEN = 200_000
"""Batches that are remembered, in 40 MB. With more of them, queries read less far back."""
MAX_ARRIVALS = 100_000
"""Batches that one query may return; more of them cause a reset."""
MAX_POINTS = 200_000
"""Points of one run in one poll. More of them (an offline run that is sent at once) cause a reset of that run.

A reset is cheaper for all.
"""
MAX_ENTRY_POINTS = 50_000
"""Points in one response: about 1 MB, below gRPC's default of 4 MB."""
MAX_LINES = 5_000
"""Console lines of a run in one poll; more of them cause a reset. The SDK sends 200 a second and process."""
MAX_RECORDS = 5_000
"""Alerts, fields and keys of a run in one poll; more of them cause a reset."""
RESET_EVERY_S = 5.0
"""The shortest time between two resets of a run, so that a watcher does not reload all the time."""
RING_BYTES = 16 << 20
"""Memory for events of one project, for watchers that read slowly or reconnect; who falls behind gets a reset."""
ALL_RINGS_BYTES = 256 << 20
"""Memory for all projects together; each gets its share."""
MAX_WATCHERS = 500
"""Streams of this instance."""
MAX_WATCHERS_A_USER = 100
"""Streams of one user, whatever the key, so that one broken page or program cannot occupy all."""
MAX_RUNS = 100
MAX_METRICS = 200
MAX_RANKS = 10_000
MAX_PATTERN_CHARACTERS = 32_000
"""The total length of the patterns on one run, for RE2. Beyond it all metrics are read and filtered in this process."""
MAX_CLUSTERS = 16
"""Queries for the points of one run: attempts that log at steps far apart are read apart."""
MAX_ROUNDS = 8
"""Ranges of one process's records, with gaps between them, in one poll.

If there are more, records in the gaps may be reported again.
"""
MAX_LINGERING = 50
"""Interests of one project whose watchers have gone; the oldest are dropped first."""
STEP_GAP = 100_000
"""Steps that lie nearer together than this are read together: they fill some granules of the table."""
