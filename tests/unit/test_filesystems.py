"""Where the spool is mapped, and what happens when a file vanishes under its mapping."""

from __future__ import annotations

import gc
import mmap
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runstream.spool import filesystems, sigbus
from runstream.spool.filesystems import may_map


@pytest.mark.parametrize(
    ("kind", "options", "upper", "expected"),
    [
        *((kind, "rw", "", True) for kind in ("ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "f2fs", "ramfs")),
        *(
            (kind, "rw", "", False)
            for kind in (
                *("nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "lustre", "gpfs", "wekafs", "glusterfs", "ceph"),
                *("beegfs", "fuse", "fuseblk", "fuse.juicefs", "fuse.sshfs", "fuse.onedriver", "fuse.glusterfs"),
                *("fuse.grpcfuse", "fakeowner", "vboxsf", "zfs", "exfat", "a-name-of-next-year", ""),
            )
        ),
        ("overlay", "rw,lowerdir=/a,upperdir=/upper,workdir=/w", "ext4", True),
        ("overlay", "rw,lowerdir=/a,upperdir=/upper,workdir=/w", "", True),  # of a container: not to be seen from here
        ("overlay", "rw,lowerdir=/a,upperdir=/upper,workdir=/w", "fuse.juicefs", False),
        ("overlay", "ro,lowerdir=/a:/b", "", False),
    ],
)
def test_only_file_systems_of_the_list_are_mapped(
    kind: str, options: str, upper: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = {Path("/spool"): (kind, options), Path("/upper"): (upper, "rw")}
    monkeypatch.setattr(filesystems, "_mount_of", mounts.__getitem__)
    assert may_map(Path("/spool")) is expected


def test_the_file_system_is_found_by_its_mount(tmp_path: Path) -> None:
    assert filesystems.kind_of(Path("/proc")) == "proc"
    assert not may_map(Path("/proc"))
    assert not may_map(Path("/no/such/place")), "where the system does not say, files are appended to"
    found = subprocess.run(["stat", "-f", "-c", "%T", str(tmp_path)], capture_output=True, text=True, check=True).stdout
    assert filesystems.kind_of(tmp_path)[:3] == found[:3].replace("ove", "ove")


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


MAP = """
import mmap, os, sys, zlib, faulthandler
from runstream.spool import files, sigbus
from pathlib import Path
path = Path(sys.argv[1])
mapped = files.map_new(path, 64 << 10)
"""


@pytest.mark.skipif(not sigbus.available(), reason="no guard on this system")
@pytest.mark.parametrize("before", ["", "faulthandler.enable()"])
def test_a_truncated_file_does_not_kill_its_writer(tmp_path: Path, before: str) -> None:
    guarded = f"""{before}
guard = sigbus.guard(mapped)
view = memoryview(mapped)
view[0:4] = b"kept"
view[40000:40004] = b"lost"
assert not guard.broken
os.truncate(path, 4096)
view[50000:50008] = b"survives"
assert guard.broken and bytes(view[50000:50008]) == b"survives"
assert bytes(view[40000:40004]) == b"lost" or True
view[4096:50000] = bytes(50000 - 4096)
view[8:12] = b"also"
zlib.crc32(view)
print(path.read_bytes()[:12])
"""
    result = run(MAP + guarded, str(tmp_path / "seg"))
    assert result.returncode == 0, result.stderr
    assert result.stdout == "b'kept\\x00\\x00\\x00\\x00also'\\n".replace("\\n", "\n")


def test_without_a_guard_it_is_killed(tmp_path: Path) -> None:
    result = run(MAP + "os.truncate(path, 4096)\nmapped[50000] = 1", str(tmp_path / "seg"))
    assert result.returncode == -signal.SIGBUS


@pytest.mark.skipif(not sigbus.available(), reason="no guard on this system")
def test_a_fault_that_is_not_ours_ends_the_process_as_before(tmp_path: Path) -> None:
    other = """
faulthandler.enable()
sigbus.guard(mapped)
foreign = files.map_new(path.with_name("other"), 64 << 10)
os.truncate(path.with_name("other"), 0)
foreign[5000] = 1
"""
    result = run(MAP + other, str(tmp_path / "seg"))
    assert result.returncode == -signal.SIGBUS
    assert "Fatal Python error: Bus error" in result.stderr, "faulthandler was there before, and is told"
    sent = run(MAP + "sigbus.guard(mapped); os.kill(os.getpid(), 7); print('survived')", str(tmp_path / "seg2"))
    assert sent.returncode == -signal.SIGBUS


@pytest.mark.skipif(not sigbus.available(), reason="no guard on this system")
def test_whoever_installed_a_handler_later_is_displaced_by_the_next_guard(tmp_path: Path) -> None:
    script = """
first = sigbus.guard(mapped)
faulthandler.enable()
second_map = files.map_new(path.with_name("second"), 64 << 10)
second = sigbus.guard(second_map)
os.truncate(path, 0)
mapped[0] = 1
print(first.broken, second.broken)
"""
    result = run(MAP + script, str(tmp_path / "seg"))
    assert result.stdout == "True False\n", result.stderr


@pytest.mark.skipif(not sigbus.available(), reason="no guard on this system")
def test_a_guard_keeps_no_mapping_alive_and_knows_reused_addresses(tmp_path: Path) -> None:
    def living() -> set[int]:
        return {address for address, one in sigbus._guards.items() if not one.gone}

    gc.collect()  # writers of other tests
    gc.freeze()  # from here on to collect takes no time, however much the tests have loaded
    before = living()
    guards = []
    for index in range(50):
        path = tmp_path / str(index)
        path.write_bytes(bytes(1 << 16))
        with path.open("r+b") as file:
            mapping = mmap.mmap(file.fileno(), 0)
        guards.append(sigbus.guard(mapping))
        del mapping
        gc.collect()
    assert living() == before
    assert len(sigbus._guards) <= len(before) + 1, "those of the mappings before are forgotten"
    path.write_bytes(bytes(1 << 16))
    with path.open("r+b") as file:
        mapping = mmap.mmap(file.fileno(), 0)
    guarded = sigbus.guard(mapping)
    assert guarded.covers(guarded._start) and not any(old.covers(guarded._start) for old in guards)
    guards.clear()
    gc.collect()
    assert sigbus._guards[guarded._start] is guarded, "an older guard of the same address took nothing away"
    os.truncate(path, 0)
    mapping[7] = 1
    assert guarded.broken and not any(old.broken for old in guards)
    guarded.release()
    mapping.close()
    gc.unfreeze()


def test_without_ctypes_nothing_is_guarded_and_nothing_breaks(tmp_path: Path) -> None:
    script = 'import sys; sys.modules["ctypes"] = None\n' + MAP
    script += "guard = sigbus.guard(mapped); mapped[0] = 1; print(sigbus.available(), guard.broken); guard.release()"
    result = run(script, str(tmp_path / "seg"))
    assert result.stdout == "False False\n", result.stderr


@pytest.mark.skipif(not sigbus.available(), reason="no guard on this system")
def test_a_segment_that_is_truncated_under_its_reader_is_damage(tmp_path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from runstream.spool import format
from runstream.spool.format import SpoolPosition
from runstream.spool.reader import SpoolReader
from runstream.spool.writer import SpoolWriter
folder = Path(sys.argv[1])
writer = SpoolWriter(folder)
class Some:
    taken, limit = 0, 10
    def row(self, *record):
        self.taken += self.taken < self.limit
        return self.taken < self.limit
    def json(self, *record):
        return True
for step in range(2000):
    writer.append_row(("a",), [1.0], step, 0)
reader, sink = SpoolReader(folder, SpoolPosition(0, format.HEADER_BYTES)), Some()
reader.drain(sink)
os.truncate(folder / format.segment_name(0), 8192)
sink.limit = 10**6
print(reader.drain(sink, dead=True), 10 < sink.taken < 2000, reader.damage.segments, reader.damage.at_end, flush=True)
reader.close()
os._exit(0)
"""
    result = run(script, str(tmp_path))
    assert (result.returncode, result.stdout) == (0, "True True 1 True\n"), result.stderr
