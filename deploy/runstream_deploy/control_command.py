"""`runstream control check | copy | restore`: check, copy or restore the control database of `runstream up`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from runstream_control import backups
from runstream_control.errors import ControlError
from runstream_deploy.data_lock import OccupiedError, held_folder


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="runstream control", description=__doc__)
    parser.add_argument("command", choices=("check", "copy", "restore"))
    parser.add_argument(
        "copy",
        nargs="?",
        type=Path,
        help="for restore; default: the newest copy that is not damaged",
    )
    parser.add_argument("--data", type=Path, default=Path("runstream-data"), help="data folder of `runstream up`")
    arguments = parser.parse_args(argv)
    database = arguments.data / "control.db"
    try:
        if arguments.command == "restore":
            with held_folder(arguments.data, {}):
                return _restore(database, arguments.copy)
        backups.check(database)
        if arguments.command == "copy":
            made = backups.copy(database)
            print(f"copied to {made}" if made else "nothing has changed since the last copy")
        else:
            print(
                f"{database} is not damaged; {backups.folder_of(database)} has {len(backups.copies(database))} copies"
            )
        return 0
    except (ControlError, OccupiedError, OSError) as error:
        print(f"runstream control: {error}", file=sys.stderr)
        return 1


def _restore(database: Path, named: Path | None) -> int:
    """Restore a copy, and return the exit status. Raise ControlDamagedError or OSError."""
    wanted = [named] if named else list(reversed(backups.copies(database)))
    if not wanted:
        raise backups.ControlDamagedError(f"there is no copy in {backups.folder_of(database)}")
    for number, source in enumerate(wanted):
        try:
            before = backups.restore(database, source)
        except backups.ControlDamagedError as error:
            if number + 1 == len(wanted):
                raise
            print(f"{error}; trying the copy before it", file=sys.stderr)
            continue
        print(
            f"{database} is restored from {source.name}"
            + (f"; its files from before are in {before}" if before else "")
        )
        print("changes of accounts, keys, projects, sweeps and deletions since then are lost; no logged data are lost")
        return 0
    raise AssertionError("unreachable")


if __name__ == "__main__":
    sys.exit(main())
