"""`runstream spool list | set-aside | restore | rejected | resend`: handle what a sender cannot send, by hand."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

from runstream.errors import RunstreamError, SpoolError, UsageError
from runstream.server.key_file import Credentials
from runstream.settings import Settings
from runstream.spool.folder import SpoolFolder, is_alive, read_meta
from runstream.spool.state import StateFile

_PATIENCE_S = 60.0


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="runstream spool", description=__doc__)
    parser.add_argument("--dir", type=Path, help="spool folder; default: RUNSTREAM_DIR")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="a line for each stream: its run, how far it is, what is wrong with it")
    aside = commands.add_parser("set-aside", help="take streams out of the sender's way; nothing of them is deleted")
    back = commands.add_parser("restore", help="give streams that were set aside back to the sender")
    commands.add_parser("rejected", help="a line for each batch and record that could not be stored, and why")
    resend = commands.add_parser("resend", help="send refused batches again, after what refused them is mended")
    for command in (aside, back):
        command.add_argument("stream", nargs="+", help="the stream's id, as listed")
    resend.add_argument("batch", nargs="*", help="the batch's file name, as `rejected` lists it; default: all")
    arguments = parser.parse_args(argv)
    root = (arguments.dir or Settings.from_environment().root).expanduser().absolute()
    spool = SpoolFolder(root)
    if not spool.streams.is_dir():
        raise UsageError(f"{root} is no spool folder: give --dir, or set RUNSTREAM_DIR")
    if arguments.command == "list":
        return _list(spool)
    if arguments.command == "rejected":
        return _rejected(spool)
    if arguments.command == "resend":
        return asyncio.run(_resend(spool, arguments.batch))
    move = _set_aside if arguments.command == "set-aside" else _restore
    for name in arguments.stream:
        print(f"{name}: {move(spool, name)}")
    return 0


def _list(spool: SpoolFolder) -> int:
    places = [(spool.streams, ""), (spool.set_aside, ", set aside")]
    for place, note in places:
        for path in sorted(place.glob("[!.]*")):
            print(f"{path.name}  {_describe(path)}{note}")
    return 0


def _describe(path: Path) -> str:
    try:
        meta, state = read_meta(path), StateFile(path / "state")
    except (SpoolError, OSError, ValueError) as error:
        return f"cannot be read: {error}"
    progress = state.read()
    state.close()
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    process = "running" if is_alive(path) else "ended"
    age_s = time.time() - meta.created_us / 1e6
    text = f"{meta.project}/{meta.run} rank {meta.rank}  process {process}  {age_s:.0f} s old  {size >> 10} KiB"
    text += f"  {progress.acked_record} records stored"
    return text + (f"  {progress.error}" if progress.error else "")


def _set_aside(spool: SpoolFolder, name: str) -> str:
    path = _stream(spool.streams, name)
    if is_alive(path):
        raise UsageError(f"the process that writes {name} still runs: end it first")
    spool.set_aside.mkdir(mode=0o700, exist_ok=True)
    path.rename(spool.set_aside / name)
    return f"set aside in {spool.set_aside}"


def _restore(spool: SpoolFolder, name: str) -> str:
    _stream(spool.set_aside, name).rename(spool.streams / name)
    return "the next sender sends it: `runstream sync`"


def _stream(place: Path, name: str) -> Path:
    path = place / name
    if name != Path(name).name or name.startswith(".") or not path.is_dir():
        raise UsageError(f"there is no stream {name!r} in {place}: see `runstream spool list`")
    return path


def _rejected(spool: SpoolFolder) -> int:
    from runstream.sender.rejected_batches import kept

    for one in kept(spool):
        print(f"{one.name}  {one.run}  {one.path.stat().st_size} bytes  {one.reason}")
    return 0


async def _resend(spool: SpoolFolder, wanted: list[str]) -> int:
    """Send the wanted batches again. Returns 0 when all of them are stored."""
    from runstream.sender.link import Links
    from runstream.sender.rejected_batches import BATCH, forget, kept

    found = [one for one in kept(spool) if one.name in wanted or (not wanted and one.path.suffix == BATCH)]
    missing = set(wanted) - {one.name for one in found}
    if missing:
        raise UsageError(f"there is no {sorted(missing)[0]!r} in {spool.rejected}: see `runstream spool rejected`")
    links, refused = Links(), 0
    try:
        for one in found:
            try:
                if one.path.suffix != BATCH or one.meta is None:
                    raise UsageError("it does not say which stream it came from")
                key = Credentials(spool.root).find(one.meta.base_url, one.meta.key_prefix)
                if key is None:
                    raise UsageError(f"no API key for {one.meta.base_url}: run `runstream login`")
                problem = await links.send_once(one.meta, key, one.number, one.path.read_bytes(), _PATIENCE_S)
            except RunstreamError as error:
                problem = str(error)
            if problem:
                refused += 1
                print(f"{one.name}: {problem}", file=sys.stderr)
            else:
                forget(one)
                print(f"{one.name}: stored")
    finally:
        await links.close()
    return 1 if refused else 0
