"""Answers who the caller is, and manages the caller's own API keys."""

from __future__ import annotations

import unicodedata

from runstream_common.times import now_us
from runstream_control.principal import Principal
from runstream_control.user_api_keys import UserApiKey, UserApiKeys
from runstream_proto.v1 import account_pb2 as pb
from runstream_query.base.errors import InvalidRequestError
from runstream_query.runs.documents import timestamp
from runstream_query.runs.lookup import Lookup

_MAX_NAME = 100
_LIFETIMES_S = (60.0, 315_360_000.0)


class AccountMethods:
    def __init__(self, keys: UserApiKeys, lookup: Lookup) -> None:
        self._keys = keys
        self._lookup = lookup

    async def GetAccount(self, principal: Principal, request: pb.GetAccountRequest) -> pb.Account:
        return pb.Account(
            user=principal.user,
            default_team=principal.default_team,
            key_prefix=principal.key_prefix,
            teams=[pb.Membership(team=team, role=role) for team, role in sorted(principal.roles.items())],
        )

    async def ListApiKeys(self, principal: Principal, request: pb.ListApiKeysRequest) -> pb.ListApiKeysResponse:
        now = now_us()
        rows = [row for row in await self._keys.list(principal) if request.all or row.is_valid(now)]
        return pb.ListApiKeysResponse(keys=[_message(row, principal, now) for row in rows])

    async def CreateApiKey(self, principal: Principal, request: pb.CreateApiKeyRequest) -> pb.CreateApiKeyResponse:
        team = self._lookup.team(principal, request.default_team)
        low, high = _LIFETIMES_S
        if request.lifetime_s and not low <= request.lifetime_s <= high:
            raise InvalidRequestError(
                f"lifetime_s is {request.lifetime_s:g}: give {low:g} to {high:g}, or 0 for as long as your own key"
            )
        secret, row = await self._keys.create(
            principal, name=_name(request.name), default_team=team, lifetime_s=request.lifetime_s
        )
        return pb.CreateApiKeyResponse(key=_message(row, principal, now_us()), secret=secret)

    async def RevokeApiKey(self, principal: Principal, request: pb.RevokeApiKeyRequest) -> pb.ApiKey:
        if not request.prefix:
            raise InvalidRequestError("prefix is empty: ListApiKeys has those of your keys")
        row = await self._keys.revoke(principal, request.prefix)
        return _message(row, principal, now_us())


def _name(text: str) -> str:
    """Return the name of a key without spaces around it. Raises InvalidRequestError unless it is one line of text."""
    name = text.strip()
    if len(name) > _MAX_NAME:
        raise InvalidRequestError(f"name: at most {_MAX_NAME} characters, not {len(name)}")
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        raise InvalidRequestError("name: one line of text, without control characters")
    return name


def _message(row: UserApiKey, principal: Principal, now: int) -> pb.ApiKey:
    state = pb.ApiKey.STATE_VALID if row.is_valid(now) else pb.ApiKey.STATE_EXPIRED
    return pb.ApiKey(
        prefix=row.prefix,
        name=row.name,
        default_team=row.default_team,
        created=timestamp(row.created_us),
        expires=timestamp(row.expires_us) if row.expires_us is not None else None,
        revoked=timestamp(row.revoked_us) if row.revoked_us is not None else None,
        made_by=row.made_by,
        state=pb.ApiKey.STATE_REVOKED if row.revoked else state,
        current=row.prefix == principal.key_prefix,
    )
