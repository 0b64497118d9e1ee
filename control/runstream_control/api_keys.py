"""API keys: 256 random bits that are shown once. Only the prefix and a SHA-256 are stored."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

_FORM = re.compile(r"(rs_[0-9a-f]{12})_([A-Za-z0-9_-]{43})")


def new_key() -> tuple[str, str]:
    """Return a new key, and its prefix."""
    prefix = f"rs_{secrets.token_hex(6)}"
    return f"{prefix}_{secrets.token_urlsafe(32)}", prefix


def prefix_of(api_key: str) -> str | None:
    """Return the key's public part, or None when the text does not have the form of a key."""
    match = _FORM.fullmatch(api_key)
    return match[1] if match else None


def digest(api_key: str) -> str:
    """Return the SHA-256 of a key. A plain hash is enough, because a key is random and not chosen."""
    return hashlib.sha256(api_key.encode()).hexdigest()


def matches(api_key: str, stored: str) -> bool:
    return hmac.compare_digest(digest(api_key), stored)
