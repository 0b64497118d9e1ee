"""What is remembered of who a caller is, and how often the source is asked."""

from __future__ import annotations

import asyncio

import pytest

from runstream_control.authenticator import CachedAuthenticator
from runstream_control.errors import AuthenticationError, ControlUnavailableError
from runstream_control.principal import Principal


class Source:
    def __init__(self) -> None:
        self.asked = 0
        self.go_on = asyncio.Event()
        self.answer: Principal | Exception = Principal("ann", "rs_1", "acme")

    async def authenticate(self, secret: str) -> Principal:
        self.asked += 1
        await self.go_on.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_two_hundred_who_come_at_once_have_their_key_looked_up_once() -> None:
    source = Source()
    cached = CachedAuthenticator(source)
    calls = [asyncio.create_task(cached.authenticate("key")) for _ in range(200)]
    await asyncio.sleep(0)
    calls[0].cancel()
    source.go_on.set()
    assert [who.user for who in await asyncio.gather(*calls[1:])] == ["ann"] * 199
    assert source.asked == 1
    assert (await cached.authenticate("key")).user == "ann" and source.asked == 1


async def test_an_outage_is_told_to_all_who_wait_and_not_remembered() -> None:
    source = Source()
    source.answer = ControlUnavailableError("away")
    source.go_on.set()
    cached = CachedAuthenticator(source)
    found = await asyncio.gather(*(cached.authenticate("key") for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in found] == [ControlUnavailableError] * 3
    source.answer = Principal("ann", "rs_1", "acme")
    assert (await cached.authenticate("key")).user == "ann"


async def test_what_is_forgotten_while_it_is_looked_up_is_looked_up_again() -> None:
    source = Source()
    cached = CachedAuthenticator(source)
    before = asyncio.create_task(cached.authenticate("key"))
    await asyncio.sleep(0.001)
    cached.forget("key")  # logged out
    source.answer = AuthenticationError()
    after = asyncio.create_task(cached.authenticate("key"))
    await asyncio.sleep(0.001)
    source.go_on.set()
    await asyncio.gather(before, after, return_exceptions=True)
    with pytest.raises(AuthenticationError):
        await cached.authenticate("key")
    assert source.asked == 2
