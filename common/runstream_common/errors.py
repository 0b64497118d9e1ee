"""Define the base of errors whose message is for the person who runs a service."""

from __future__ import annotations


class ReportedError(Exception):
    """The command line reports it in one line, without a traceback."""
