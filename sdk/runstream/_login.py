"""`runstream.login()` and `runstream login`."""

from __future__ import annotations

import getpass
import sys

from runstream.credentials import Credentials
from runstream.errors import UsageError
from runstream.settings import Settings
from runstream.spool.folder import SpoolFolder


def login(key: str | None = None, host: str | None = None, relogin: bool = False) -> bool:
    """See `runstream.login`."""
    settings = Settings.from_environment(None, base_url=host, api_key=key)
    SpoolFolder(settings.root).prepare()
    credentials = Credentials(settings.root)
    api_key = settings.api_key
    if not api_key:
        if credentials.find(settings.base_url) and not relogin:
            return True
        if not sys.stdin.isatty():
            raise UsageError("no API key: set RUNSTREAM_API_KEY, or call runstream.login(key=...)")
        api_key = getpass.getpass(f"API key for {settings.base_url}: ").strip()
    credentials.store(settings.base_url, api_key)
    return True
