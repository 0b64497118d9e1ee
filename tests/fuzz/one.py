"""One target under the coverage-guided fuzzer: TARGET RUNS SEED. Exits with the fuzzer's status."""

from __future__ import annotations

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
    name, runs, seed = sys.argv[1:4]
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
