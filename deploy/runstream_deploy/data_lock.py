"""Give one `runstream up` a data folder and its ports. Another `up` is refused at once, and told who has them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

from runstream_common.service.config import split_address
from runstream_deploy.addresses import Addresses

LOCK_FILE = "up.lock"
_LEFTOVERS_END_S = 8.0
"""The children of a killed `up` end by themselves within 5 s; those of older versions end when their drain is over."""
_CHILDREN = ("runstream_common.service.tether", "--exit-with-parent")
"""Parts of the command lines of an `up`'s children: of this version, and of older ones."""


class OccupiedError(Exception):
    """The folder or a port is in use. The message says who uses it, and what to do."""


@contextlib.contextmanager
def exclusive(data: Path, addresses: Addresses, ports: Sequence[str], say: Callable[[str], None]) -> Iterator[None]:
    """Lock the folder, and check that the ports are free.

    The kernel holds the lock, so it ends with the process. `ports` has host:port of all addresses to listen on. Raise
    OccupiedError or OSError.
    """
    with held_folder(data, {"http": addresses.http, "gateway": addresses.gateway, "grpc": addresses.grpc}):
        _wait_for_leftovers(data, say)
        _check_ports(ports)
        yield


@contextlib.contextmanager
def held_folder(data: Path, about: dict[str, str]) -> Iterator[None]:
    """Hold the folder's lock, with its holder written into the file. Raise OccupiedError or OSError."""
    fd = os.open(data / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OccupiedError(f"the data folder {data.absolute()} is in use by {_holder(fd)}") from None
        note = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S"), **about}
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{json.dumps(note)}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


def _holder(fd: int) -> str:
    try:
        note = json.loads(os.pread(fd, 4096, 0))
        listening = ", ".join(f"{name} {note[name]}" for name in ("http", "gateway", "grpc") if name in note)
        since = f"since {note['since']}" + (f" ({listening})" if listening else "")
        return (
            f"process {note['pid']} on {note['host']} {since}: use that `runstream up`, or stop it "
            f"(kill {note['pid']}), or name another folder with --data"
        )
    except (ValueError, KeyError, TypeError):
        return "another `runstream up`"  # it has not yet written who it is


def leftovers(data: Path) -> list[psutil.Process]:
    """Return the running children of an `up` on this folder.

    While the caller holds the folder's lock, their `up` is dead, or of an older version that took no such lock.
    """
    return [process for process in psutil.process_iter() if _is_child_of_folder(process, str(data.absolute()))]


def _is_child_of_folder(process: psutil.Process, folder: str) -> bool:
    try:
        command = process.cmdline()
        if not any(word in command for word in _CHILDREN) or process.status() == psutil.STATUS_ZOMBIE:
            return False
        variables = process.environ()
    except (psutil.Error, OSError):
        return False  # the process is gone, or another user's
    places = [variables.get("RUNSTREAM_CONTROL_URL", ""), variables.get("RUNSTREAM_MEDIA_URL", ""), *command]
    return any(f"{place}/".find(f"{folder}/") >= 0 for place in places)


def _wait_for_leftovers(data: Path, say: Callable[[str], None]) -> None:
    """Wait until the children of an earlier `up` have ended. Raise OccupiedError when one does not end."""
    deadline = time.monotonic() + _LEFTOVERS_END_S
    reported = False
    while left := leftovers(data):
        parents = {parent.pid for process in left if (parent := _up_above(process)) is not None}
        if parents:
            raise OccupiedError(
                f"the data folder {data.absolute()} is in use by `runstream up`, process "
                f"{', '.join(map(str, sorted(parents)))}: stop it, or name another folder with --data"
            )
        if time.monotonic() >= deadline:
            raise OccupiedError(
                f"the data folder {data.absolute()} is in use by processes that an earlier `runstream up` left behind: "
                f"{'; '.join(map(describe, left))}. End them: kill {' '.join(str(process.pid) for process in left)}"
            )
        if not reported:
            say(f"waiting until {len(left)} processes of the previous `runstream up` end")
            reported = True
        time.sleep(0.1)


def _up_above(process: psutil.Process) -> psutil.Process | None:
    """Return the living `up` that started the process, or None."""
    try:
        parent = process.parent()
        return parent if parent is not None and "up" in parent.cmdline() else None
    except (psutil.Error, OSError):
        return None


def describe(process: psutil.Process) -> str:
    """Return a process in words: its number, and the program that runs in it."""
    try:
        command = process.cmdline()
    except (psutil.Error, OSError):
        command = []
    if command and "python" in Path(command[0]).name:
        command = command[2:] if command[1:2] == ["-P"] else command[1:]
    if command[:2] == ["-m", "runstream_common.service.tether"]:
        command = command[3:]
    words = " ".join(command)[:160]
    parent = _up_above(process)
    of = f", of `runstream up`, process {parent.pid}" if parent is not None else ""
    return f"process {process.pid}" + (f" ({words})" if words else "") + of


def _check_ports(addresses: Sequence[str]) -> None:
    """Raise OccupiedError when one of the addresses is in use."""
    taken = [address for address in addresses if not _is_free(address)]
    if taken:
        holders = _listeners()
        held: dict[str, list[str]] = {}
        for address in taken:
            held.setdefault(holders.get(split_address(address)[1], "a process of another user"), []).append(address)
        who = "; ".join(f"{', '.join(found)} by {holder}" for holder, found in held.items())
        raise OccupiedError(
            f"addresses are in use: {who}. Stop these processes, or choose other ports: --any-ports, or --ports"
        )


def _is_free(address: str) -> bool:
    host, port = split_address(address)
    for family, kind, protocol, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the services set it too
            try:
                probe.bind(place)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return False
                if error.errno != errno.EADDRNOTAVAIL:  # a name's second address that this machine does not have
                    raise OSError(error.errno, f"cannot listen on {address}: {error.strerror}") from error
    return True


def _listeners() -> dict[int, str]:
    """Return a description of each port's listener, as far as this user may see it."""
    found: dict[int, str] = {}
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.pid and connection.laddr:
                with contextlib.suppress(psutil.Error):
                    found[connection.laddr.port] = describe(psutil.Process(connection.pid))
    return found
