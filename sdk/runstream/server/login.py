"""The function behind `runstream.login()` and `runstream login`."""

from __future__ import annotations

import getpass
import json
import sys

from runstream.base.notices import Notices
from runstream.errors import UsageError
from runstream.server.key_file import Credentials
from runstream.settings import Settings
from runstream.spool.folder import SpoolFolder


def login(
    key: str | None = None,
    host: str | None = None,
    *,
    relogin: bool = False,
    verify: bool = False,
    timeout_s: float = 5.0,
) -> bool:
    """See `runstream.login`."""
    settings = Settings.from_environment(None, base_url=host, api_key=key)
    if settings.mode in ("disabled", "offline") and not settings.api_key:
        return False
    SpoolFolder(settings.root).prepare()
    credentials = Credentials(settings.root)
    api_key = settings.api_key
    known = None if relogin else credentials.find(settings.base_url)
    if not api_key and not known:
        if not sys.stdin.isatty():
            Notices(settings.silent, strict=False).say(
                f"no API key for {settings.base_url}: set RUNSTREAM_API_KEY, or run `runstream login`; "
                "until then everything is recorded in the spool"
            )
            return False
        api_key = getpass.getpass(f"API key for {settings.base_url}: ").strip()
    if api_key:
        credentials.store(settings.base_url, api_key)
    if verify:
        who = _who_am_i(settings, api_key or known or "", timeout_s)
        Notices(settings.silent, strict=False).say(f"logged in to {settings.base_url} as {who}")
    return True


def _who_am_i(settings: Settings, api_key: str, timeout_s: float) -> str:
    """Return the user and the team of the key.

    Raises UsageError when the server does not know it, or cannot be asked.
    """
    import urllib.error
    import urllib.request

    request = urllib.request.Request(  # noqa: S310  # base_url is checked to be http(s)
        f"{settings.base_url.rstrip('/')}/api/v1/WhoAmI", headers={"authorization": f"Bearer {api_key}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:  # noqa: S310
            answer = json.loads(response.read(1 << 20))
    except urllib.error.HTTPError as error:
        if error.code == 401:
            raise UsageError(f"the server {settings.base_url} does not know this API key") from None
        raise UsageError(f"the server {settings.base_url} answered {error.code}") from None
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the server {settings.base_url} cannot be asked ({getattr(error, 'reason', error)}): "
            "is RUNSTREAM_BASE_URL right, and is it up?"
        ) from None
    return f"{answer.get('user', '?')} (team {answer.get('default_team', '?')})"
