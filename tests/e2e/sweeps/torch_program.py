"""A trial of several processes that torchrun starts: they meet, add up, and each logs to the one run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
import torch.distributed as dist

import runstream


def main() -> None:
    dist.init_process_group("gloo")
    run = runstream.init()
    together = torch.tensor([float(run.config.x)])
    for step in range(3):
        dist.all_reduce(together)  # doubles it, with two
        run.log({"value": together + step, f"rank {run.rank}": run.rank})
    said = {"config": run.config.as_dict(), "run": run.id, "rank": run.rank, "world": run.world_size}
    (Path(os.environ["TRIAL_PLACE"]) / f"{run.id}-{run.rank}.json").write_text(json.dumps(said))
    run.finish()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
