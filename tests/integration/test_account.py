"""A user's own API keys: in the control database, and over both transports."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass

from runstream_common.times import now_us
from runstream_control import user_api_keys
from runstream_control.control_store import ControlStore
from runstream_control.errors import AuthenticationError, NotFoundError, PermissionDeniedError
from runstream_control.principal import Role
from runstream_control.sessions import SessionStore
from runstream_control.user_api_keys import UserApiKeys
from runstream_proto.v1 import account_pb2 as pb
from runstream_proto.v1 import account_pb2_grpc as rpc
from tests.integration.test_query_service import HOSTILE, call
from tests.integration.test_sessions import Browser
from tests.support.stack import ServiceStack

METHODS = tuple(pb.DESCRIPTOR.services_by_name["AccountService"].methods)
NAMES = [method.name for method in METHODS]
CREATE: dict[str, Any] = {"name": "", "default_team": "acme", "lifetime_s": 0}


def new_key(stack: ServiceStack, user: str, team: str, role: Role = Role.MEMBER) -> str:
    async def make() -> str:
        store = ControlStore.open(stack.control_url)
        try:
            return str(await store.create_api_key(user, team, role))
        finally:
            await store.close()

    return asyncio.run(make())


def prefix(key: str) -> str:
    return key[: key.index("_", 3)]


@pytest.fixture(scope="module")
def eve(embedded: ServiceStack) -> str:
    """The key of somebody in another team."""
    return new_key(embedded, "eve", "rivals")


async def test_a_key_makes_another_of_the_same_user(store: ControlStore) -> None:
    who = await store.authenticate(await store.create_api_key("ann", "acme", Role.VIEWER))
    keys = UserApiKeys.beside(store)
    secret, row = await keys.create(who, **{**CREATE, "name": "laptop"})
    made = await store.authenticate(secret)
    assert (made.user, made.roles, made.key_prefix) == ("ann", {"acme": Role.VIEWER}, row.prefix)
    assert [(one.name, one.made_by) for one in await keys.list(who)] == [("laptop", who.key_prefix), ("", "")]
    assert secret not in repr(await keys.list(who))


async def test_a_key_makes_none_that_outlives_it(store: ControlStore) -> None:
    keys = UserApiKeys.beside(store)
    who = await store.authenticate(await store.create_api_key("ann", "acme"))
    secret, short = await keys.create(who, **{**CREATE, "lifetime_s": 3600})
    short_lived = await store.authenticate(secret)
    for lifetime_s in (0, 60, 1e8):
        _, row = await keys.create(short_lived, **{**CREATE, "lifetime_s": lifetime_s})
        assert row.expires_us is not None and short.expires_us is not None and row.expires_us <= short.expires_us
    assert (await keys.create(who, **CREATE))[1].expires_us is None


async def test_a_key_that_has_ended_makes_none_although_it_is_remembered(store: ControlStore) -> None:
    keys = UserApiKeys.beside(store)
    who = await store.authenticate(await store.create_api_key("ann", "acme"))
    await keys.revoke(who, who.key_prefix)
    with pytest.raises(AuthenticationError):
        await keys.create(who, **CREATE)


async def test_revoking_ends_the_key_and_what_was_opened_by_it(store: ControlStore) -> None:
    keys, sessions = UserApiKeys.beside(store), SessionStore.beside(store)
    who = await store.authenticate(await store.create_api_key("ann", "acme"))
    secret, row = await keys.create(who, **CREATE)
    token = await sessions.open_by_key(secret, 60)
    before = now_us()
    first = await keys.revoke(who, row.prefix)
    assert first.revoked and first.revoked_us is not None and first.revoked_us >= before
    assert await keys.revoke(who, row.prefix) == first, "again does no harm"
    for gone in (store.authenticate(secret), sessions.authenticate(token)):
        with pytest.raises(AuthenticationError):
            await gone


async def test_nobody_ends_or_sees_anothers_key(store: ControlStore) -> None:
    keys = UserApiKeys.beside(store)
    ann = await store.authenticate(await store.create_api_key("ann", "acme"))
    chief = await store.authenticate(await store.create_api_key("bob", "acme", Role.ADMIN))
    with pytest.raises(NotFoundError):
        await keys.revoke(chief, ann.key_prefix)
    assert [one.prefix for one in await keys.list(chief)] == [chief.key_prefix]
    with pytest.raises(PermissionDeniedError):
        await keys.create(chief, **{**CREATE, "default_team": "rivals"})


async def test_a_loop_that_makes_keys_is_stopped(store: ControlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_api_keys, "MAX_VALID_KEYS", 4)
    keys = UserApiKeys.beside(store)
    who = await store.authenticate(await store.create_api_key("ann", "acme"))
    await asyncio.gather(*(keys.create(who, **CREATE) for _ in range(3)))
    with pytest.raises(PermissionDeniedError, match="revoke some"):
        await keys.create(who, **CREATE)
    await keys.revoke(who, (await keys.list(who))[0].prefix)
    await keys.create(who, **CREATE)


def question(method: str, key: str, team: str = "") -> dict[str, Any]:
    """A request that the owner of `key` is answered."""
    own = {"RevokeApiKey": {"prefix": prefix(key)}, "CreateApiKey": {"name": "made here", "default_team": team}}
    return own.get(method, {})


@pytest.mark.parametrize("method", NAMES)
def test_the_owner_is_answered_over_both_transports(embedded: ServiceStack, method: str) -> None:
    spare = new_key(embedded, "tester", "main")
    status, answer = call(embedded, method, question(method, spare, "main"), embedded.key)
    assert status == 200, answer
    descriptor = next(found for found in METHODS if found.name == method)
    with grpc.insecure_channel(embedded.address("grpc")) as channel:
        request = GetMessageClass(descriptor.input_type)(**question(method, spare, "main"))
        metadata = (("authorization", f"Bearer {embedded.key}"),)
        response = getattr(rpc.AccountServiceStub(channel), method)(request, metadata=metadata, timeout=20)
    assert response.DESCRIPTOR.full_name == descriptor.output_type.full_name


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("key", [None, "", "rs_000000000000_" + "x" * 43], ids=["none", "empty", "unknown"])
def test_without_a_valid_key_nothing_is_answered(embedded: ServiceStack, method: str, key: str | None) -> None:
    status, answer = call(embedded, method, question(method, embedded.key, "main"), key)
    assert (status, answer["error"]["code"]) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize("method", NAMES)
def test_a_key_of_another_team_sees_nothing(embedded: ServiceStack, eve: str, method: str) -> None:
    status, answer = call(embedded, method, question(method, embedded.key, "main"), eve)
    assert status == (404 if question(method, eve) else 200), answer
    shown = json.dumps(answer)
    assert "tester" not in shown and '"main"' not in shown
    if status == 200:
        assert prefix(embedded.key) not in shown
    assert call(embedded, "WhoAmI", {}, embedded.key)[0] == 200


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_in_any_field_is_only_text(embedded: ServiceStack, eve: str, method: str, value: str) -> None:
    descriptor = next(found for found in METHODS if found.name == method)
    for field in descriptor.input_type.fields:
        if field.cpp_type != field.CPPTYPE_STRING:
            continue
        status, answer = call(embedded, method, {field.name: value}, eve)
        assert status in (200, 400, 404), (field.name, answer)
        assert status != 200 or answer["key"]["name"] == value.strip()


@pytest.mark.parametrize(
    ("method", "body", "status", "words"),
    [
        ("CreateApiKey", {"name": "x" * 101}, 400, "at most 100 characters"),
        ("CreateApiKey", {"name": "two\nlines"}, 400, "one line"),
        ("CreateApiKey", {"lifetime_s": 5}, 400, "give 60 to"),
        ("CreateApiKey", {"lifetime_s": "NaN"}, 400, "give 60 to"),
        ("CreateApiKey", {"lifetime_s": 1e12}, 400, "give 60 to"),
        ("CreateApiKey", {"default_team": "mian"}, 404, "near it: main"),
        ("RevokeApiKey", {}, 400, "prefix is empty"),
        ("RevokeApiKey", {"prefix": "rs_000000000000"}, 404, "you have no API key"),
    ],
)
def test_bad_questions_are_told_what_to_do(
    embedded: ServiceStack, method: str, body: dict[str, Any], status: int, words: str
) -> None:
    got, answer = call(embedded, method, body, embedded.key)
    assert (got, words in answer["error"]["message"]) == (status, True), answer


def test_another_site_makes_and_ends_no_key_with_a_browsers_session(embedded: ServiceStack) -> None:
    browser = Browser(f"http://{embedded.address('http')}")
    spare = new_key(embedded, "carol", "main")
    assert browser.ask("POST", "/api/session", {"key": spare})[0] == 200
    for headers in ({}, {"x-runstream-page": "1", "origin": "http://evil.example"}):
        assert browser.ask("POST", "/api/v1/CreateApiKey", {}, headers)[0] == 403
        assert browser.ask("POST", "/api/v1/RevokeApiKey", {"prefix": prefix(spare)}, headers)[0] == 403
    for method in ("CreateApiKey", "RevokeApiKey"):
        assert browser.ask("GET", f"/api/v1/{method}?prefix={prefix(spare)}", None, {})[0] == 405
    keys = json.loads(browser.ask("POST", "/api/v1/ListApiKeys", {"all": True})[1])["keys"]
    assert [(one["prefix"], one["current"]) for one in keys] == [(prefix(spare), True)]
    made = json.loads(browser.ask("POST", "/api/v1/CreateApiKey", {"name": "from the page"})[1])
    assert call(embedded, "WhoAmI", {}, made["secret"])[1]["user"] == "carol"
    log = (embedded.folder / "query.log").read_text()
    assert "API key made" in log and made["key"]["prefix"] in log and made["secret"] not in log
