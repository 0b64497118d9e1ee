"""Browser sessions: in the control database, and at the HTTP edge of the query service."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from runstream_control.control_store import ControlStore
from runstream_control.errors import AuthenticationError, LinkError, NotFoundError
from runstream_control.sessions import SessionStore
from runstream_query.base.errors import TooManyAttemptsError
from runstream_query.transport.http.logins import Attempts
from tests.support.stack import ServiceStack


async def test_a_session_is_its_keys_user(store: ControlStore) -> None:
    sessions = SessionStore.beside(store)
    key = await store.create_api_key("ann", "acme")
    token = await sessions.open_by_key(key, 60)
    assert await sessions.authenticate(token) == await store.authenticate(key)
    await sessions.end(token)
    with pytest.raises(AuthenticationError):
        await sessions.authenticate(token)


@pytest.mark.parametrize("how", ["another key", "no key", "revoked", "the hash of the token"])
async def test_a_session_needs_its_key(store: ControlStore, how: str) -> None:
    sessions = SessionStore.beside(store)
    key = await store.create_api_key("ann", "acme")
    if how == "revoked":
        token = await sessions.open_by_key(key, 60)
        await store.revoke_api_key("_".join(key.split("_")[:2]))
        with pytest.raises(AuthenticationError):
            await sessions.authenticate(token)
    wrong = {"another key": key[:-4] + "0000", "no key": "", "revoked": key, "the hash of the token": "0" * 64}[how]
    with pytest.raises(AuthenticationError):
        await sessions.open_by_key(wrong, 60)


async def test_sessions_and_links_expire_and_are_forgotten(store: ControlStore) -> None:
    sessions = SessionStore.beside(store)
    key = await store.create_api_key("ann", "acme")
    who = await store.authenticate(key)
    token, link = await sessions.open_by_key(key, 0.0), await sessions.create_link(who.key_prefix, 0.0)
    with pytest.raises(AuthenticationError):
        await sessions.authenticate(token)
    with pytest.raises(LinkError):
        await sessions.open_by_link(link, 60)


async def test_a_link_opens_one_session_even_when_followed_at_once(store: ControlStore) -> None:
    sessions = SessionStore.beside(store)
    who = await store.authenticate(await store.create_api_key("ann", "acme"))
    link = await sessions.create_link(who.key_prefix, 60)
    found = await asyncio.gather(*(sessions.open_by_link(link, 60) for _ in range(8)), return_exceptions=True)
    opened = [one for one in found if isinstance(one, str)]
    assert len(opened) == 1 and all(isinstance(one, (str, LinkError)) for one in found)
    assert (await sessions.authenticate(opened[0])).user == "ann"


async def test_a_link_is_for_a_valid_key_only(store: ControlStore) -> None:
    sessions = SessionStore.beside(store)
    key = await store.create_api_key("ann", "acme")
    prefix = "_".join(key.split("_")[:2])
    link = await sessions.create_link(prefix, 60)
    await store.revoke_api_key(prefix)
    with pytest.raises(LinkError):
        await sessions.open_by_link(link, 60)
    with pytest.raises(NotFoundError):
        await sessions.create_link(prefix, 60)


def test_nothing_in_the_database_opens_a_session(tmp_path: Path) -> None:
    """Who steals the database has hashes."""

    async def fill() -> tuple[str, str]:
        store = ControlStore.open(f"sqlite:///{tmp_path / 'control.db'}")
        await store.migrate()
        sessions = SessionStore.beside(store)
        key = await store.create_api_key("ann", "acme")
        link = await sessions.create_link("_".join(key.split("_")[:2]), 60)
        token = await sessions.open_by_key(key, 60)
        await store.close()
        return link, token

    stored = b""
    for secret in asyncio.run(fill()):
        stored = stored or b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert secret.encode() not in stored and secret[3:].encode() not in stored


def test_attempts_are_counted_by_address() -> None:
    attempts = Attempts(2, 60.0)
    attempts.count("a")
    attempts.count("a")
    with pytest.raises(TooManyAttemptsError, match="try again in"):
        attempts.count("a")
    attempts.count("b")
    attempts.forgive("a")
    attempts.count("a")


class Browser:
    """Speaks HTTP as a page, or as something that pretends to be one."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.cookie = ""

    def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        own = {"x-runstream-page": "1", "origin": self.base} if headers is None else headers
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.base}{path}", data, {**own, "cookie": self.cookie}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                if answer.headers.get("set-cookie"):
                    self.cookie = answer.headers["set-cookie"].partition(";")[0]
                    self.attributes = answer.headers["set-cookie"].lower()
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@pytest.fixture
def browser(embedded: ServiceStack) -> Browser:
    found = Browser(f"http://{embedded.address('http')}")
    status, text = found.ask("POST", "/api/session", {"key": embedded.key})
    assert status == 200, text
    return found


def test_a_session_asks_as_its_user_until_it_is_ended(browser: Browser) -> None:
    assert all(word in browser.attributes for word in ("httponly", "samesite=strict", "path=/"))
    status, text = browser.ask("POST", "/api/v1/WhoAmI", {})
    assert status == 200 and json.loads(text)["user"] == "tester"
    assert json.loads(browser.ask("GET", "/api/session")[1])["user"]["user"] == "tester"
    cookie = browser.cookie
    assert browser.ask("DELETE", "/api/session")[0] == 200
    browser.cookie = cookie
    assert browser.ask("POST", "/api/v1/WhoAmI", {})[0] == 401
    assert browser.ask("GET", "/api/session")[1] == '{"logged_in":false}'


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://evil.example"},
        {"x-runstream-page": "1", "origin": "http://evil.example"},
        {"x-runstream-page": "1", "origin": "null"},
        {"x-runstream-page": "1", "sec-fetch-site": "cross-site"},
        {"x-runstream-page": "1", "sec-fetch-site": "same-site"},
    ],
    ids=str,
)
def test_another_sites_request_is_refused_although_the_browser_sends_the_cookie(
    browser: Browser, headers: dict[str, str]
) -> None:
    question = {"project": "nothing-here", "runs": ["x"]}
    assert browser.ask("POST", "/api/v1/DeleteRuns", question, headers)[0] == 403
    assert browser.ask("DELETE", "/api/session", None, headers)[0] == 403
    assert browser.ask("POST", "/api/session", {"key": "rs_x"}, headers)[0] == 403
    assert browser.ask("GET", "/api/v1/DeleteRuns?project=nothing-here&runs=x", None, headers)[0] == 405
    assert browser.ask("POST", "/api/v1/WhoAmI", {})[0] == 200


def test_a_key_in_the_header_goes_before_the_cookie(browser: Browser) -> None:
    assert browser.ask("POST", "/api/v1/WhoAmI", {}, {"authorization": "Bearer rs_wrong"})[0] == 401


def test_a_session_is_no_api_key(browser: Browser) -> None:
    token = browser.cookie.partition("=")[2]
    browser.cookie = ""
    assert browser.ask("POST", "/api/v1/WhoAmI", {}, {"authorization": f"Bearer {token}"})[0] == 401


def test_views_and_files_have_their_headers(embedded: ServiceStack) -> None:
    base = f"http://{embedded.address('http')}"
    with urllib.request.urlopen(f"{base}/main/any/view", timeout=20) as answer:
        headers, text = answer.headers, answer.read().decode()
    assert headers["cache-control"] == "no-cache"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    for path in ("/api/page/nothing.js", "/api/nothing", "/api/page/../../config.py", "/api/page/%2e%2e/%2e%2e/rpc.py"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(base + path, timeout=20)
        refused.value.close()
        assert refused.value.code == 404
    script = text.partition('src="')[2].partition('"')[0]
    if script:  # where the page is built
        request = urllib.request.Request(base + script, headers={"accept-encoding": "br"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert "immutable" in answer.headers["cache-control"]
            assert answer.headers["content-encoding"] == "br"
