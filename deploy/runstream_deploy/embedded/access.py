"""Access control: the ways in which ClickHouse's clients authenticate."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from runstream_common.clickhouse.http_protocol import BadRequestError, credentials


def check_access(query: Mapping[str, str], headers: Mapping[str, str], user: str, password: str) -> None:
    """Raise BadRequestError unless the request has the right user and password.

    A client sends them by basic authentication, X-ClickHouse-User and -Key, or in the URL.
    """
    given_user, given_password = credentials(query, headers)
    user_fits = hmac.compare_digest(given_user.encode(), user.encode())
    password_fits = hmac.compare_digest(given_password.encode(), password.encode())
    if not (user_fits and password_fits):
        raise BadRequestError(
            f"{given_user[:64]}: Authentication failed: password is incorrect, or there is no user with such name.",
            516,
            "AUTHENTICATION_FAILED",
            403 if given_password else 401,
        )
