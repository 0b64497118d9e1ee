"""What the sender samples and reads for the node: control groups, GPUs, consoles."""

from __future__ import annotations

import os
import types
from pathlib import Path
from typing import Any

import pytest

from runstream.sender import cgroup
from runstream.sender.consoles import _READ_BYTES, Consoles, collapse
from runstream.sender.gpus import Gpus
from runstream.sender.system_metrics import NodeSampler, ProcessSampler
from runstream.spool import files
from runstream.spool.folder import SpoolFolder, StreamMeta, write_meta


def test_limits_of_version_2_and_1_control_groups(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    for path, text in {
        new / "memory.max": "1073741824",
        new / "memory.current": "500000000",
        new / "memory.stat": "anon 1\ninactive_file 100000000",
        new / "cpu.max": "150000 100000",
        old / "memory/memory.limit_in_bytes": "2147483648",
        old / "memory/memory.usage_in_bytes": "1000",
        old / "memory/memory.stat": "total_inactive_file 400",
        old / "cpu/cpu.cfs_quota_us": "50000",
        old / "cpu/cpu.cfs_period_us": "100000",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert cgroup.memory_limit_bytes(new) == 1 << 30 and cgroup.memory_limit_bytes(old) == 1 << 31
    assert cgroup.memory_used_bytes(new) == 400_000_000 and cgroup.memory_used_bytes(old) == 600
    assert cgroup.cpu_limit(new) == 1.5 and cgroup.cpu_limit(old) == 0.5
    (new / "memory.max").write_text("max\n")
    (new / "cpu.max").write_text("max 100000\n")
    assert cgroup.memory_limit_bytes(new) is None and cgroup.cpu_limit(new) is None
    assert cgroup.memory_limit_bytes(tmp_path / "none") is None


class FakeNvml(types.SimpleNamespace):
    """Two GPUs: one that supports everything, one that supports almost nothing."""

    NVML_TEMPERATURE_GPU = 0
    NVML_CLOCK_SM, NVML_CLOCK_MEM = 1, 2
    NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_MEMORY_ERROR_TYPE_CORRECTED, NVML_VOLATILE_ECC = 1, 0, 0
    NVML_PCIE_UTIL_TX_BYTES, NVML_PCIE_UTIL_RX_BYTES = 0, 1

    def nvmlInit(self) -> None: ...
    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetUtilizationRates(self, gpu: int) -> Any:
        return types.SimpleNamespace(gpu=80 + gpu, memory=20)

    def nvmlDeviceGetMemoryInfo(self, gpu: int) -> Any:
        return types.SimpleNamespace(used=4 << 30, total=16 << 30)

    def nvmlDeviceGetPowerUsage(self, gpu: int) -> int:
        if gpu == 1:
            raise RuntimeError("not supported")
        return 250_500

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: int) -> list[Any]:
        return [types.SimpleNamespace(pid=77, usedGpuMemory=1 << 30)] if gpu == 0 else []


def test_gpus_give_what_they_support() -> None:
    gpus = Gpus(FakeNvml())
    found = gpus.sample()
    assert found["system/gpu.0.utilization_percent"] == 80 and found["system/gpu.1.utilization_percent"] == 81
    assert found["system/gpu.0.power_watts"] == 250.5 and "system/gpu.1.power_watts" not in found
    assert found["system/gpu.0.memory_percent"] == 25
    assert gpus.memory_of(77) == {"system/process.gpu.0.memory_bytes": float(1 << 30)}
    assert len(Gpus(types.SimpleNamespace())) == 0, "no driver, no GPUs"


def test_the_node_and_this_process_are_sampled_for_real() -> None:
    node = NodeSampler()
    found = node.sample()
    assert 0 < found["system/memory_percent"] < 100 and found["system/memory_used_bytes"] > 1 << 20
    assert found["system/cpu_limit"] > 0
    process = ProcessSampler(os.getpid(), seen_alive_at=1e12).sample()
    assert process["system/process.memory_rss_bytes"] > 1 << 20
    assert ProcessSampler(os.getpid(), seen_alive_at=0.0).sample() == {}, "another process with the same number"


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b"plain", "plain"),
        (b"10%\r20%\r100%", "100%"),
        (b"done\r", "done"),
        (b"", ""),
        (b"export DB_PASSWORD=hunter22 next", "export DB_PASSWORD=*** next"),
        (b'{"api_key": "abcd1234", "tokens": 5}', '{"api_key": "***", "tokens": 5}'),
        (b"tokens per second: 1234", "tokens per second: 1234"),
        (b"key=sk-abcdefghijklmnopqrstuvwx", "key=***"),
        (b"\xff\xfe", "��"),
        (b"a\0b", "ab"),
    ],
)
def test_lines_are_shown_as_they_look_in_the_end(raw: bytes, line: str) -> None:
    assert collapse(raw) == line


class Companions:
    """Keeps what consoles write."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, int, str]] = []

    def of(self, meta: StreamMeta) -> Companions:
        return self

    def record(self, kind: str, value: dict[str, Any], time_us: int | None = None) -> None:
        assert kind == "console" and value["stream"] == "writer-0001"
        self.lines.append((value["output"], value["line"], value["text"]))


def console_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "console" / "writer-0001"
    folder.mkdir(parents=True)
    meta = dict.fromkeys(StreamMeta.__dataclass_fields__, "")
    numbers = dict.fromkeys(("rank", "world_size", "created_us", "pid"), 0)
    write_meta(folder, StreamMeta(**{**meta, **numbers, "writer_id": "writer-0001", "version": 1}))  # type: ignore[arg-type]
    for name in ("stdout", "stderr", "lock"):
        (folder / name).touch()
    return folder


def test_consoles_are_followed_to_their_end_and_then_gone(tmp_path: Path) -> None:
    folder = console_folder(tmp_path)
    lock = files.FileLock(folder / "lock")
    assert lock.acquire()
    found = Companions()
    consoles = Consoles(SpoolFolder(tmp_path), found)  # type: ignore[arg-type]
    with (folder / "stdout").open("ab", buffering=0) as out:
        out.write(b"one\ntwo\nthr")
        assert consoles.turn() == {"writer-0001"}
        out.write(b"ee\n5%\r50%\rlast without end")
        consoles.turn()
    lock.release()
    while consoles.turn():
        pass
    kept = {(output, line): text for output, line, text in found.lines}
    texts = [kept["OUTPUT_STDOUT", line] for line in range(4)]
    assert texts == ["one", "two", "three", "last without end"]
    assert not folder.exists()


def test_a_successor_goes_on_where_a_killed_sender_was(tmp_path: Path) -> None:
    folder = console_folder(tmp_path)
    lock = files.FileLock(folder / "lock")
    assert lock.acquire()
    (folder / "stdout").write_bytes(b"".join(b"line %d\n" % number for number in range(100)))
    first, second = Companions(), Companions()
    Consoles(SpoolFolder(tmp_path), first).turn()  # type: ignore[arg-type]
    with (folder / "stdout").open("ab") as out:
        out.write(b"line 100\n")
    Consoles(SpoolFolder(tmp_path), second).turn()  # type: ignore[arg-type]
    lock.release()
    assert [text for _, _, text in first.lines] == [f"line {number}" for number in range(100)]
    assert second.lines == [("OUTPUT_STDOUT", 100, "line 100")]


def test_a_flood_of_lines_is_thinned_and_says_so(tmp_path: Path) -> None:
    folder = console_folder(tmp_path)
    (folder / "stderr").write_bytes(b"".join(b"%d\n" % number for number in range(200_000)))
    found = Companions()
    consoles = Consoles(SpoolFolder(tmp_path), found)  # type: ignore[arg-type]
    while consoles.turn():
        pass
    assert 5000 <= len(found.lines) < 20_000
    left_out = sum(int(text.split()[1]) for _, _, text in found.lines if "left out" in text)
    assert left_out + sum("left out" not in text for _, _, text in found.lines) <= 200_000
    assert left_out > 150_000


def test_what_was_read_gives_its_disk_back(tmp_path: Path) -> None:
    folder = console_folder(tmp_path)
    lock = files.FileLock(folder / "lock")
    assert lock.acquire()
    (folder / "stdout").write_bytes(b"x" * 99 + b"\n" + (b"y" * 99 + b"\n") * 20_000)
    before = (folder / "stdout").stat().st_blocks
    consoles = Consoles(SpoolFolder(tmp_path), Companions())  # type: ignore[arg-type]
    for _ in range(3 * 2_000_000 // _READ_BYTES):
        consoles.turn()
    after = (folder / "stdout").stat()
    assert after.st_size == 2_000_100 and after.st_blocks < before / 4
    lock.release()
