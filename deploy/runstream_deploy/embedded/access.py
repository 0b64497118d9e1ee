"""Who may ask: the ways in which ClickHouse's clients say who they are."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping

from runstream_deploy.embedded.request import BadRequestError


def check_access(query: Mapping[str, str], headers: Mapping[str, str], user: str, password: str) -> None:
    """Basic authentication, X-ClickHouse-User and -Key, or user and password in the URL. Raises BadRequestError."""
    given_user, given_password = _given(query, headers)
    user_fits = hmac.compare_digest(given_user.encode(), user.encode())
    password_fits = hmac.compare_digest(given_password.encode(), password.encode())
    if not (user_fits and password_fits):
        raise BadRequestError(
            f"{given_user[:64]}: Authentication failed: password is incorrect, or there is no user with such name.",
            516,
            "AUTHENTICATION_FAILED",
            403 if given_password else 401,
        )


def _given(query: Mapping[str, str], headers: Mapping[str, str]) -> tuple[str, str]:
    authorization = headers.get("authorization", "")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, secret = base64.b64decode(token, validate=True).decode("utf-8").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "default", ""
        return name or "default", secret
    if "x-clickhouse-user" in headers or "x-clickhouse-key" in headers:
        return headers.get("x-clickhouse-user", "default"), headers.get("x-clickhouse-key", "")
    return query.get("user", "default"), query.get("password", "")
