"""Check that the address of a run's link is a runstream server that knows the key."""

from __future__ import annotations

from runstream.server.key_file import Credentials
from runstream.settings import Settings

_PATIENCE_S = 2.0


def page_problem(settings: Settings) -> str:
    """Return why links to `base_url` would not work, with the setting to change.

    Returns an empty text when they work, or nothing is known for certain. Waits two seconds at most. Never raises.
    """
    import json  # imported here: these load OpenSSL, which is needed only at the end of runs that somebody watches
    import urllib.error
    import urllib.request

    key = settings.api_key or Credentials(settings.root).find(settings.base_url)
    base = settings.base_url.rstrip("/")
    request = urllib.request.Request(  # noqa: S310  # base_url is checked to be http(s)
        f"{base}/api/v1/WhoAmI",
        data=b"{}",
        headers={"authorization": f"Bearer {key or ''}", "content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_S) as response:  # noqa: S310
            answer = json.loads(response.read(1 << 16))
        found = "" if isinstance(answer, dict) and "user" in answer else "is no runstream server"
    except urllib.error.HTTPError as error:
        if error.code >= 500 or error.code == 429:
            return ""
        found = "does not know the API key" if error.code in (401, 403) else f"is no runstream server ({error})"
    except ValueError:
        found = "is no runstream server"
    except TimeoutError:
        return ""
    except OSError as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            return ""
        found = f"does not answer ({reason})"
    advice = "`runstream login` takes another, " if "key" in found else ""
    return f"{base} {found}: {advice}RUNSTREAM_BASE_URL names where the page is" if found else ""
