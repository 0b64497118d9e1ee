"""The environment of a trial: the variables that W&B's agent sets, with our names."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from runstream.runs.active_trial import stop_mark
from runstream.settings import Settings
from runstream.sweeps.agent_session import Leased
from runstream.sweeps.sweep_info import SweepInfo


class TrialFiles:
    """A trial's files in the spool's folder: its parameters, and the mark that says that it was stopped."""

    def __init__(self, settings: Settings, sweep: SweepInfo, trial: Leased) -> None:
        folder = settings.root / "sweeps" / sweep.id
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.parameters = folder / f"{trial.info.run}-{trial.info.attempt}.json"
        self.arguments = self.parameters.with_suffix(".args.json")
        self.parameters.write_text(json.dumps(trial.info.parameters), encoding="utf-8")
        self._mark = stop_mark(str(self.parameters))
        self._mark.unlink(missing_ok=True)

    def mark_stopped(self) -> None:
        with contextlib.suppress(OSError):
            self._mark.touch()

    @property
    def stopped(self) -> bool:
        """True when the program was told to stop, by this agent or through its run's stream."""
        return self._mark.exists()

    def remove(self) -> None:
        for path in (self.parameters, self.arguments, self._mark):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def variables(sweep: SweepInfo, trial: Leased, parameters: Path) -> dict[str, str]:
    """Return the variables of a trial. All ranks of a distributed program get the same ones, and so log to one run."""
    return {
        "RUNSTREAM_SWEEP_ID": sweep.id,
        "RUNSTREAM_RUN_ID": trial.info.run,
        "RUNSTREAM_SWEEP_PARAM_PATH": str(parameters),
        "RUNSTREAM_PROJECT": sweep.project,
        "RUNSTREAM_ENTITY": sweep.team,
        "RUNSTREAM_NAME": f"trial-{trial.number}",
        **({"RUNSTREAM_RESUME": "allow"} if trial.resume else {}),
    }


@contextlib.contextmanager
def in_environment(found: Mapping[str, str]) -> Iterator[None]:
    """Put `found` into this process's environment for the block; processes that a function starts there get it too."""
    before = {name: os.environ.get(name) for name in found}
    os.environ.update(found)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
