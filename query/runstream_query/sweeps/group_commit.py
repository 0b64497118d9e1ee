"""Carry out calls together that come at the same time: one transaction, and one fsync, serves all that wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Given = TypeVar("Given")
MOST = 256
"""How many calls one transaction takes.

Measured with 200 agents: 1.3 times the leases of groups of 64, and 1.7 times those of groups of 32.
"""

_ALONE_S, _LULL_S, _PATIENCE_S = 0.001, 0.004, 0.06
"""How many seconds must pass without a new call: after one call, after several; and how long a call waits for others.

Measured with bursts of 200, which are received within some 40 ms: if the first few go ahead, the others wait for two
transactions, and for the interpreter that the transactions share with receiving calls; then p99 is a fifth longer.
"""


class GroupCommit(Generic[Asked, Given]):
    """Calls wait while a transaction is under way; then the next transaction takes all of them.

    A call is carried out although its caller goes away, unless the caller went before the call's turn.
    """

    def __init__(self, carry_out: Callable[[Sequence[Asked]], Awaitable[Sequence[Given]]]) -> None:
        """Take `carry_out`, which returns an answer for each call, in their order."""
        self._carry_out = carry_out
        self._waiting: deque[tuple[Asked, asyncio.Future[Given]]] = deque()
        self._task: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        return not self._waiting and (self._task is None or self._task.done())

    async def ask(self, asked: Asked) -> Given:
        future: asyncio.Future[Given] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        while True:
            await self._gather()
            calls = [call for call in self._take() if not call[1].cancelled()]
            if not calls:
                if not self._waiting:
                    return
                continue
            try:
                answers = await self._carry_out([asked for asked, _ in calls])
            except Exception as error:  # noqa: BLE001  # handed to those who asked
                for _, future in calls:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), answer in zip(calls, answers, strict=True):
                if not future.done():
                    future.set_result(answer)

    async def _gather(self) -> None:
        """Wait until no new call comes.

        Of two hundred calls at the same moment, the last is received tens of milliseconds after the first, and
        transactions for the first few would keep the interpreter from receiving the others.
        """
        loop = asyncio.get_running_loop()
        until_s, seen = loop.time() + _PATIENCE_S, 0
        while seen < len(self._waiting) < MOST and loop.time() < until_s:
            seen = len(self._waiting)
            await asyncio.sleep(_ALONE_S if seen == 1 else _LULL_S)

    def _take(self) -> list[tuple[Asked, asyncio.Future[Given]]]:
        return [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST))]
