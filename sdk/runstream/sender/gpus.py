"""NVIDIA GPUs of the node, through NVML."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any


class Gpus:
    """Reads every GPU that the driver shows. Without a driver it has none."""

    def __init__(self, nvml: Any = None) -> None:
        """Find the GPUs. `nvml`: the module pynvml, or a substitute for it."""
        self._nvml = nvml
        self._handles: list[object] = []
        try:
            if nvml is None:
                import pynvml

                self._nvml = pynvml
            self._nvml.nvmlInit()
            self._handles = [
                self._nvml.nvmlDeviceGetHandleByIndex(index) for index in range(self._nvml.nvmlDeviceGetCount())
            ]
        except Exception:  # noqa: BLE001  # NVML has an error class for each case: no library, no driver, no right
            self._handles = []

    def __len__(self) -> int:
        return len(self._handles)

    def sample(self) -> dict[str, float]:
        """Return `system/gpu.N.*` by name, without values that a GPU does not support."""
        found: dict[str, float] = {}
        for index, handle in enumerate(self._handles):
            for name, value in self._read(handle).items():
                found[f"system/gpu.{index}.{name}"] = value
        return found

    def memory_of(self, pid: int) -> dict[str, float]:
        """Return the GPU memory that a process holds, by GPU."""
        found: dict[str, float] = {}
        for index, handle in enumerate(self._handles):
            with contextlib.suppress(Exception):
                for process in self._nvml.nvmlDeviceGetComputeRunningProcesses(handle):
                    if process.pid == pid and process.usedGpuMemory:
                        found[f"system/process.gpu.{index}.memory_bytes"] = float(process.usedGpuMemory)
        return found

    def _read(self, handle: object) -> dict[str, float]:
        n = self._nvml
        found: dict[str, float] = {}

        def put(name: str, read: Callable[[], float]) -> None:
            with contextlib.suppress(Exception):  # this GPU or driver does not support the value
                found[name] = float(read())

        with contextlib.suppress(Exception):
            used = n.nvmlDeviceGetUtilizationRates(handle)
            found["utilization_percent"], found["memory_activity_percent"] = float(used.gpu), float(used.memory)
        with contextlib.suppress(Exception):
            memory = n.nvmlDeviceGetMemoryInfo(handle)
            found["memory_used_bytes"] = float(memory.used)
            found["memory_percent"] = 100.0 * memory.used / memory.total
        put("power_watts", lambda: n.nvmlDeviceGetPowerUsage(handle) / 1000)
        put("power_limit_watts", lambda: n.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000)
        put("temperature_celsius", lambda: n.nvmlDeviceGetTemperature(handle, n.NVML_TEMPERATURE_GPU))
        put("sm_clock_mhz", lambda: n.nvmlDeviceGetClockInfo(handle, n.NVML_CLOCK_SM))
        put("memory_clock_mhz", lambda: n.nvmlDeviceGetClockInfo(handle, n.NVML_CLOCK_MEM))
        put(
            "ecc_uncorrected_errors",
            lambda: n.nvmlDeviceGetTotalEccErrors(handle, n.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, n.NVML_VOLATILE_ECC),
        )
        put(
            "ecc_corrected_errors",
            lambda: n.nvmlDeviceGetTotalEccErrors(handle, n.NVML_MEMORY_ERROR_TYPE_CORRECTED, n.NVML_VOLATILE_ECC),
        )
        put(
            "pcie_sent_bytes_per_s",
            lambda: n.nvmlDeviceGetPcieThroughput(handle, n.NVML_PCIE_UTIL_TX_BYTES) * 1024,
        )
        put(
            "pcie_received_bytes_per_s",
            lambda: n.nvmlDeviceGetPcieThroughput(handle, n.NVML_PCIE_UTIL_RX_BYTES) * 1024,
        )
        with contextlib.suppress(Exception):
            self._read_nvlink(handle, found)
        return found

    def _read_nvlink(self, handle: object, found: dict[str, float]) -> None:
        n = self._nvml
        fields = [n.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, n.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX]
        for name, value in zip(
            ("nvlink_sent_bytes_total", "nvlink_received_bytes_total"),
            n.nvmlDeviceGetFieldValues(handle, fields),
            strict=True,
        ):
            if value.nvmlReturn == 0:
                found[name] = value.value.ullVal * 1024.0
