"""The GPUs of a trial: CUDA_VISIBLE_DEVICES binds them to it, and no other trial on this node gets them.

A device is taken by a file lock that lives as long as any process of the trial: several agents of a node share
its GPUs, and a killed agent leaves no GPU taken. Where the devices are found, not given, those on which any program
computes are skipped too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runstream.errors import UsageError


@dataclass(slots=True)
class Binding:
    """The devices of one trial.

    `lock_fds` are passed to the process that runs it, then `release()` closes them here.
    """

    devices: tuple[str, ...]
    lock_fds: tuple[int, ...]

    @property
    def variables(self) -> dict[str, str]:
        return {"CUDA_VISIBLE_DEVICES": ",".join(self.devices)} if self.devices else {}

    def release(self) -> None:
        for fd in self.lock_fds:
            with contextlib.suppress(OSError):
                os.close(fd)
        self.lock_fds = ()


class Devices:
    """The devices that an agent may give to trials, K to each trial."""

    def __init__(
        self, names: tuple[str, ...], per_trial: int, check_busy: bool, folder: Path, nvml: Any = None
    ) -> None:
        """Check the devices. Raises UsageError where there are fewer devices than one trial needs."""
        if per_trial < 1:
            raise UsageError(f"--gpus-per-trial is {per_trial}: 1 or more")
        if not names:
            raise UsageError(
                f"--gpus-per-trial is {per_trial}, and no GPU was found here: neither CUDA_VISIBLE_DEVICES nor "
                "NVIDIA's driver (NVML) names one; name the devices with --gpus 0,1, or leave --gpus-per-trial out"
            )
        if len(names) < per_trial:
            raise UsageError(
                f"--gpus-per-trial is {per_trial}, and there are {len(names)} GPUs here: "
                "give fewer, or name the devices with --gpus"
            )
        self.names = names
        self.per_trial = per_trial
        self._check_busy = check_busy
        self._folder = folder
        self._nvml = nvml

    @property
    def trials(self) -> int:
        """The number of trials that can run at once."""
        return len(self.names) // self.per_trial

    def take(self) -> Binding | None:
        """Return the devices for one trial, or None while too few are free."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        taken: list[tuple[str, int]] = []
        for name in self.names:
            if len(taken) < self.per_trial and (fd := self._lock(name)) is not None:
                if self._check_busy and self._busy(name):
                    os.close(fd)
                else:
                    taken.append((name, fd))
        binding = Binding(tuple(name for name, _ in taken), tuple(fd for _, fd in taken))
        if len(taken) == self.per_trial:
            return binding
        binding.release()
        return None

    def _lock(self, name: str) -> int | None:
        path = self._folder / re.sub(r"[^A-Za-z0-9_.-]", "_", name)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return None
        return fd

    def _busy(self, name: str) -> bool:
        with contextlib.suppress(
            Exception
        ):  # no driver, no right, a name that NVML does not know: not known to be busy
            n = self._nvml or _nvml()
            by = n.nvmlDeviceGetHandleByIndex if name.isdigit() else n.nvmlDeviceGetHandleByUUID
            handle = by(int(name) if name.isdigit() else name)
            return bool(n.nvmlDeviceGetComputeRunningProcesses(handle))
        return False


def find_devices(given: str, environment: Mapping[str, str], nvml: Any = None) -> tuple[tuple[str, ...], bool]:
    """Return the devices' names, and whether they were found instead of given: busy devices are then skipped."""
    if given:
        return _names(given), False
    if "CUDA_VISIBLE_DEVICES" in environment:
        return _names(environment["CUDA_VISIBLE_DEVICES"]), True
    with contextlib.suppress(Exception):  # NVML has an error class for each case: no library, no driver
        n = nvml or _nvml()
        return tuple(str(index) for index in range(n.nvmlDeviceGetCount())), True
    return (), True


def lock_folder() -> Path:
    """Return the folder of the locks: one for all agents that a user runs on this node."""
    return Path(tempfile.gettempdir()) / f"runstream-gpus-{os.geteuid()}"


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip() and part.strip() != "-1")


def _nvml() -> Any:
    import pynvml

    pynvml.nvmlInit()
    return pynvml
