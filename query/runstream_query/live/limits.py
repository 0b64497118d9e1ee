"""Set every limit of the live stream, each with its reason."""

from __future__ import annotations

POLL_S = 0.5
"""How often each project is polled, in seconds: people take this for at once. One poll serves however many watch."""
HEARTBEAT_S = 5.0
"""Proxies close a stream that is silent for 30 to 60 s; and the caller's key is checked again at each response."""
LINGER_S = 90.0
"""A watcher that was cut off comes back within seconds; what arrived meanwhile is kept for so long."""
NEAR_S = 3.0
"""An insert into the ledger takes milliseconds, but a row may become visible after a later one.

So each query reaches back so far, and skips the batches that it has seen.
"""
FAR_S = 120.0
"""For replicas that lag and inserts that hang: every FAR_EVERY_S a query reaches back so far."""
FAR_EVERY_S = 10.0
SWEEP_S = 10.0
"""How often states are queried for changes that no arrival announces: a run fell silent, or was deleted."""
MAX_SEEN = 200_000
"""How many batches are remembered, in 40 MB. If there are more, queries reach back less far."""
MAX_ARRIVALS = 100_000
"""How many batches one query may find; more of them cause a reset."""
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
"""The least time between two resets of a run, so that a watcher that reloads at each does not reload all the time."""
RING_BYTES = 16 << 20
"""Memory for the watchers of one project that read slowly or come back; one that falls behind it is told to reload."""
ALL_RINGS_BYTES = 256 << 20
"""Memory for all projects together; each gets its share."""
MAX_WATCHERS = 500
"""Streams of this instance."""
MAX_WATCHERS_A_USER = 100
"""Streams of one user, whatever the key, so that one broken page or program cannot take all."""
MAX_RUNS = 100
MAX_METRICS = 200
MAX_RANKS = 10_000
MAX_PATTERN_CHARACTERS = 32_000
"""The length of all patterns on one run together, for RE2. Beyond it every metric is read and sorted out here."""
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
