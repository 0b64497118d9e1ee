"""The file systems on which the spool may be mapped: those of a list. On all others the spool is appended to.

A mapped page is kept by the kernel and written back later. That keeps the promise of `log()` only where pages live and
die with this machine: a network, cluster or user-space file system may write a page back too late or never, may raise
SIGBUS when its server is gone, and many do not keep mapped pages and reads of another process coherent. There are
dozens of such systems (NFS, SMB, Lustre, GPFS, WekaFS, JuiceFS, GlusterFS, Ceph, FSx, BeeGFS, 9p, virtiofs, anything on
FUSE), and new ones appear under names that no list has. So the list names those that are right.
"""

from __future__ import annotations

import os
from pathlib import Path

MAPPED = frozenset(
    {
        "ext2",
        "ext3",
        "ext4",
        "xfs",
        "f2fs",
        "tmpfs",
        "ramfs",
        "rootfs",  # the kernel's first root, a tmpfs or ramfs
        "btrfs",  # allocated extents are written in place the first time, which is all that a segment needs
    }
)
"""File systems of the kernel, on this machine's disk or in its memory. Left out on purpose are zfs and bcachefs (they
copy on write, and do not keep allocated space for a file: a full pool shows only when the page is written back, which
no process sees), vfat, exfat, ntfs3 (removable disks, which vanish), aufs and unionfs (which are no longer used)."""
_OVERLAY = "overlay"
"""A container's root. Segments are made in its upper layer, which the kernel requires to be local. The layer is checked
where it is visible from here, and trusted where it is not, as from within a container."""


def may_map(folder: Path) -> bool:
    """Return whether files in `folder` may be mapped.

    It is False where the system does not say (no /proc, as on macOS; a kernel that hides it): appending is right
    everywhere and costs two system calls a record. `RUNSTREAM_SPOOL_IO=map` maps all the same.
    """
    kind, options = _mount_of(folder)
    if kind != _OVERLAY:
        return kind in MAPPED
    upper = next((option[9:] for option in options.split(",") if option.startswith("upperdir=")), "")
    if not upper:
        return False  # read-only
    below = _mount_of(Path(_unescaped(upper)))[0]
    return not below or below in MAPPED


def kind_of(folder: Path) -> str:
    """Return the file system's name, as in `mount`; return an empty text where the system does not say."""
    return _mount_of(folder)[0]


def _mount_of(folder: Path) -> tuple[str, str]:
    """Return name and options of the file system; return empty texts where it is not known.

    It is found by the mount's id, not by the device's number: on btrfs and overlay `stat` and the list of mounts
    differ.
    """
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            info = Path(f"/proc/self/fdinfo/{fd}").read_text(encoding="ascii")
        finally:
            os.close(fd)
        ident = next(line.split()[1] for line in info.splitlines() if line.startswith("mnt_id:"))
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            if line.split(" ", 1)[0] == ident:
                kind, _, options = line.partition(" - ")[2].split(" ", 2)
                return kind, options
    except (OSError, IndexError, StopIteration, ValueError):
        pass
    return "", ""


def _unescaped(path: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, character)
    return path
