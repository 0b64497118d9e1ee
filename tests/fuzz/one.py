"""Targets under the coverage-guided fuzzer, one after the other: RUNS SEED FOLDER TARGET... Each runs in a fork of this
process, for to load and instrument the code takes longer than a short run. What the fuzzer said of a target is in
FOLDER/TARGET.log, its status the last line there."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=["runstream", "runstream_ingestor", "runstream_query", "runstream_deploy", "runstream_common"]
):
    from tests.fuzz.targets import TARGETS, seeds

MEMORY_MB, TIMEOUT_S, LONGEST = 1024, 5, 65_536


def main() -> None:
    runs, seed, folder = sys.argv[1:4]
    for name in sys.argv[4:]:
        with (Path(folder) / f"{name}.log").open("wb", buffering=0) as log:
            pid = os.fork()
            if pid == 0:
                os.dup2(log.fileno(), 2)
                fuzz(name, runs, seed)
            _, status = os.waitpid(pid, 0)
            log.write(f"\nstatus {os.waitstatus_to_exitcode(status)}\n".encode())


def fuzz(name: str, runs: str, seed: str) -> None:
    """Does not return: the fuzzer ends the process."""
    corpus = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    for number, data in enumerate(seeds(name)):
        (corpus / f"seed-{number}").write_bytes(data)
    options = [
        f"-runs={runs}",
        f"-seed={seed}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-timeout={TIMEOUT_S}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={corpus}/found-",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
