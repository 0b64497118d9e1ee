"""`runstream control check | copy | restore`: check, copy or restore the control database of `runstream up`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from runstream_control import copies
from runstream_control.errors import ControlError
from runstream_deploy.data_lock import OccupiedError, held_folder


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="runstream control", description=__doc__)
    parser.add_argument("command", choices=("check", "copy", "restore"))
    parser.add_argument("copy", nargs="?", type=Path, help="with restore: which one; default: the newest sound one")
    parser.add_argument("--data", type=Path, default=Path("runstream-data"), help="data folder of `runstream up`")
    arguments = parser.parse_args(argv)
    database = arguments.data / "control.db"
    try:
        if arguments.command == "restore":
            with held_folder(arguments.data, {}):
                return _restore(database, arguments.copy)
        copies.check(database)
        if arguments.command == "copy":
            made = copies.copy(database)
            print(f"copied to {made}" if made else "nothing has changed since the last copy")
        else:
            print(f"{database} is sound; {len(copies.copies(database))} copies in {copies.folder_of(database)}")
        return 0
    except (ControlError, OccupiedError, OSError) as error:
        print(f"runstream control: {error}", file=sys.stderr)
        return 1


def _restore(database: Path, named: Path | None) -> int:
    """Restore a copy, and return the exit status. Raise ControlDamagedError or OSError."""
    wanted = [named] if named else list(reversed(copies.copies(database)))
    if not wanted:
        raise copies.ControlDamagedError(f"there is no copy in {copies.folder_of(database)}")
    for number, source in enumerate(wanted):
        try:
            aside = copies.restore(database, source)
        except copies.ControlDamagedError as error:
            if number + 1 == len(wanted):
                raise
            print(f"{error}; trying the one before", file=sys.stderr)
            continue
        print(f"{database} is as it was in {source.name}" + (f"; what was there is in {aside}" if aside else ""))
        print("accounts, keys, projects, sweeps and deletions since then are lost; what runs logged is not")
        return 0
    raise AssertionError("unreachable")


if __name__ == "__main__":
    sys.exit(main())
