"""API keys on disk: `credentials.json` in the spool's folder, readable by its owner only.

The sender needs a key later than the process that was given it, also for the streams of a crashed process.
So a key that `init()` finds in the environment is stored as `login()` stores it. Streams name keys by prefix.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from runstream.errors import UsageError

KEY_FORM = "rs_<12 hex digits>_<43 characters>"


def key_prefix(api_key: str) -> str:
    """Return the public part of a key: `rs_` and twelve hex digits. Raises UsageError when the key is malformed."""
    parts = api_key.split("_", 2)
    if len(parts) != 3 or parts[0] != "rs" or not parts[1] or len(parts[2]) < 22:
        raise UsageError(f"this is no runstream API key: it has the form {KEY_FORM}; `runstream key create` makes one")
    return f"rs_{parts[1]}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The keys known in one folder."""

    root: Path

    @property
    def path(self) -> Path:
        return self.root / "credentials.json"

    def find(self, base_url: str, prefix: str = "") -> str | None:
        """Return the key with this prefix; without a prefix, return the key last stored for the server."""
        known = self._load()
        prefix = prefix or known["servers"].get(base_url, "")
        key = known["keys"].get(prefix)
        return str(key) if key else None

    def store(self, base_url: str, api_key: str) -> None:
        """Store a key as the one for this server. Raises OSError, UsageError."""
        prefix = key_prefix(api_key)
        known = self._load()
        if known["keys"].get(prefix) == api_key and known["servers"].get(base_url) == prefix:
            return
        known["keys"][prefix] = api_key
        known["servers"][base_url] = prefix
        temporary = self.path.with_name(f".credentials-{os.getpid()}.json")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump(known, file, indent=1)
        temporary.replace(self.path)

    def _load(self) -> dict[str, dict[str, str]]:
        try:
            raw = json.loads(self.path.read_text(encoding="utf-8"))
            return {"keys": dict(raw["keys"]), "servers": dict(raw["servers"])}
        except (OSError, ValueError, KeyError, TypeError):
            return {"keys": {}, "servers": {}}
