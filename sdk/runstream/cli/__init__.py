"""The `runstream` command line: `commands.py` has the list of commands, the other files run them."""

from runstream.cli.commands import main

__all__ = ["main"]
