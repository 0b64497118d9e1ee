"""`python -m tests.faults.sabotage`: the laboratory's own test. Each guard of the product is taken out in turn, and the
fault that it guards against is played until the checker notices; one that is never noticed is a hole in the checker.

A guard is taken out at run time, in the processes of the lab alone: nothing in the product can be switched off so.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.faults.codes import DISK_LAB, FOREIGN_LAB, LAB_NAMES, UP_LAB

ROUNDS = 4
"""A fault strikes at random moments: one round may miss."""


@dataclass(frozen=True, slots=True)
class Guard:
    """`module` is broken by the function `breaker` of `breakers` when it is imported in the lab's processes."""

    fault: str
    brokers: int
    guard: str
    module: str
    breaker: str


_SENDER, _KAFKA = "runstream.sender.stream_uploader", "runstream_common.bus.kafka"
_FILES = "runstream.spool.files"
_ACCUMULATOR = "aiokafka.producer.message_accumulator"
_LOOP, _FLUSH, _DECODE = (f"runstream_ingestor.writer.{name}" for name in ("loop", "flush", "decode"))
_STORER = "runstream_ingestor.writer.batch_storer"
_WAITS = "what could not be sent waits in the spool"
_CLICKHOUSE = "runstream_common.clickhouse.client"
_CONTROL = "control database damaged"
_SETTLED = "a batch is settled by its ack, not when it is sent"
_ACKED = "the ack comes after Kafka's"
_COMMITTED = "offsets are committed after the insert"
_REPEATED = "an insert is repeated until it is answered"
_LISTENS = "silence counts only while the server listens"
_KEYED = "the natural key makes a row one"
_VERSIONED = "versions are epoch and number"

GUARDS: tuple[Guard, ...] = (
    Guard("kill sdk", 1, _SETTLED, _SENDER, "settle_sent"),
    Guard("kill gateway", 1, _ACKED, _KAFKA, "ack_early"),
    Guard("kill writer", 1, _COMMITTED, _LOOP, "commit_first"),
    Guard("kill clickhouse", 1, _REPEATED, _FLUSH, "no_retry"),
    Guard("kill broker", 1, "what Kafka did not take is sent again", _ACCUMULATOR, "no_resend"),
    Guard("kill leader", 3, "acks=all", _KAFKA, "one_ack"),
    Guard("kill all at once", 1, _COMMITTED, _LOOP, "commit_first"),
    Guard("stop writer", 1, _KEYED, "tests.faults.lab", "plain_tables"),
    Guard("failpoints", 1, _COMMITTED, _LOOP, "commit_first"),
    Guard("two gateways", 1, _VERSIONED, _DECODE, "arrival_versions"),
    Guard("deduplication lost", 1, _KEYED, "tests.faults.lab", "plain_tables"),
    Guard("rebalance storm", 1, _KEYED, "tests.faults.lab", "plain_tables"),
    Guard("answers lost", 1, _REPEATED, _FLUSH, "no_retry"),
    Guard("network", 0, _SETTLED, _SENDER, "settle_sent"),
    Guard("disk full under clickhouse", DISK_LAB, "no fault of the data", _CLICKHOUSE, "full_is_poison"),
    Guard("poison", 1, "what is put aside goes to the dead letters", _KAFKA, "no_dead_letters"),
    Guard("clock steps", 1, _VERSIONED, _DECODE, "clock_versions"),
    Guard("replay from zero", 1, "tombstones", "runstream_ingestor.writer.deletion_filter", "no_tombstones"),
    Guard("old steps again", 1, _VERSIONED, _DECODE, "same_versions"),
    Guard("bytes flipped", 0, "a checksum a record", "runstream.spool.reader", "no_checksums"),
    Guard("old sdk", 1, "every released format is read", "runstream_ingestor.validation", "newer_only"),
    Guard("disk full under kafka", DISK_LAB, "what Kafka did not take is sent again", _ACCUMULATOR, "no_resend"),
    Guard("kill query", 0, "documents are stored", "runstream_ingestor.writer.document_rows", "fewer_documents"),
    Guard(
        "bytes flipped", 0, "a verdict names what is missing", "runstream_query.runs.verdict.completeness", "no_gaps"
    ),
    Guard("workers log", 0, "a forked child has a stream of its own", "runstream.runs.ending", "shared_stream"),
    Guard("daemon threads", 0, "a call that comes too late says so", "runstream.runs.recorder", "silent_end"),
    Guard("exit in threads", 0, "the interpreter's exit ends the run", "runstream.runs.processes", "no_finish_at_exit"),
    Guard("dead streams", 0, "living streams come first", "runstream.sender.node_sender", "dead_first"),
    Guard("nobody listens", 0, _LISTENS, "runstream_query.runs.writer_marks", "clock_alone"),
    Guard("nobody listens", 1, _LISTENS, "runstream_query.runs.writer_marks", "clock_alone"),
    Guard("kill sender", 0, _SETTLED, _SENDER, "settle_sent"),
    Guard("kill up", UP_LAB, "services end with `up`", "runstream_common.service.tether", "no_tether"),
    Guard(_CONTROL, UP_LAB, "a damaged one is refused", "runstream_control.backups", "no_check"),
    Guard(_CONTROL, UP_LAB, "epochs of the copy are skipped", "runstream_control.backups", "same_epochs"),
    Guard("postgres away", FOREIGN_LAB, _WAITS, _SENDER, "trouble_is_the_end"),
    Guard("object storage failing", FOREIGN_LAB, "files come before their record", _SENDER, "no_upload"),
    Guard("key revoked", 0, _WAITS, _SENDER, "trouble_is_the_end"),
    Guard("part hurt", 0, "a verdict reads the rows", "runstream_query.runs.verdict.completeness", "ledger_alone"),
    Guard("hostile user", 1, "a batch that cannot be stored is put aside", _STORER, "no_isolation"),
    Guard(
        "hostile user",
        1,
        "a gateway takes what holds together",
        "runstream_ingestor.gateway.stream_session",
        "no_validation",
    ),
    Guard("hostile user", 0, "texts are made valid", "runstream.base.text", "any_text"),
    Guard("hostile user", 0, "declared sizes are checked", "runstream_common.clickhouse.http_protocol", "any_size"),
    Guard("disk full under media", DISK_LAB, "files come before their record", _SENDER, "no_upload"),
    Guard("disk full under the spool", 1, "a segment has its room before it is mapped", _FILES, "no_room"),
)


def main() -> int:
    from tests.faults.__main__ import report
    from tests.faults.rounds import Labs, plan, play

    parser = argparse.ArgumentParser(prog="python -m tests.faults.sabotage", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="faults or breakers whose name contains this")
    arguments = parser.parse_args()
    noticed: dict[str, bool] = {}
    for guard in GUARDS:
        if arguments.only not in guard.fault and arguments.only not in guard.breaker:
            continue
        folder = Path(tempfile.mkdtemp(prefix="sabotage-"))
        name = f"{guard.fault} ({LAB_NAMES[guard.brokers]}): without '{guard.guard}' ({guard.breaker})"
        print(name, flush=True)
        noticed[name] = False
        with Labs(folder, sabotage=f"{guard.module}:{guard.breaker}") as labs:
            planned = plan(arguments.seed, ROUNDS, guard.fault, guard.brokers)
            for number, (fault, brokers) in enumerate(planned, start=1):
                outcome = play(labs.lab(brokers), fault, folder, arguments.seed, number)
                report(outcome)
                said = [text for text in outcome.problems if "Traceback" not in text]  # not a lab that broke down
                if said or not outcome.findings.clean:
                    noticed[name] = True
                    break
    print(json.dumps({"sabotaged": len(noticed), "noticed": sum(noticed.values()), "guards": noticed}))
    return 0 if all(noticed.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
