"""A TCP proxy in front of a service: passes, throttles, swallows, delays, refuses, or loses the answer."""

from __future__ import annotations

import asyncio
import contextlib
import threading


class Proxy:
    """On a thread of its own. What it does may be changed at any time; `heal` makes it a plain proxy again."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.others: list[str] = []
        """More targets: connections go to `target` and to these in turn."""
        self.bytes_per_s: float | None = None
        self.stopped = False
        """Half-open: connections stand, nothing passes."""
        self.refusing = False
        """Connections are taken and closed at once."""
        self.delay_s = 0.0
        """Of what clients send; it arrives even when its client has gone meanwhile."""
        self.lost_answers = 0
        """So many answers to requests that contain `lose` are cut off, after the server has worked."""
        self.answers_lost = 0
        """Since the beginning."""
        self.lose = b"INSERT"
        self.port = 0
        self._turn = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait(10)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def heal(self) -> None:
        self.bytes_per_s, self.stopped, self.refusing, self.delay_s, self.lost_answers = None, False, False, 0.0, 0

    def cut(self) -> None:
        """End every connection that is open."""
        self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in list(self._tasks)])

    def close(self) -> None:
        async def end() -> None:
            if self._server:
                self._server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)

        async def serve() -> None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
            self.port = self._server.sockets[0].getsockname()[1]
            self._ready.set()

        self._loop.run_until_complete(serve())
        self._loop.run_forever()
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.close()
            return
        targets = [self.target, *self.others]
        target = targets[self._turn % len(targets)]
        self._turn += 1
        host, _, port = target.rpartition(":")
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        late: list[asyncio.Task[None]] = []
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(host, int(port))
            asked = _Asked()
            delayed = self.delay_s if target == self.target else 0.0
            outward = (
                self._pump_late(reader, upstream_writer, delayed, late)
                if delayed
                else self._pump(reader, upstream_writer, asked, to_server=True)
            )
            try:
                await asyncio.gather(outward, self._pump(upstream_reader, writer, asked, to_server=False))
            finally:
                if not late:
                    upstream_writer.close()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: _Asked, *, to_server: bool
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(4096 if self.bytes_per_s else 1 << 16):
                while self.stopped:
                    await asyncio.sleep(0.05)
                if self.bytes_per_s:
                    await asyncio.sleep(len(data) / self.bytes_per_s)
                if to_server:
                    asked.insert = asked.insert or self.lose in data
                elif asked.insert and self.lost_answers > 0:
                    self.lost_answers -= 1
                    self.answers_lost += 1
                    raise ConnectionResetError("the answer is lost")
                else:
                    asked.insert = False
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _pump_late(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float, late: list[asyncio.Task[None]]
    ) -> None:
        """What is read arrives `delay_s` later, in order, also after the client has gone."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            with contextlib.suppress(OSError):
                while True:
                    due, data = await queue.get()
                    await asyncio.sleep(max(due - self._loop.time(), 0))
                    if not data:
                        break
                    writer.write(data)
                    await writer.drain()
            writer.close()

        late.append(self._loop.create_task(deliver()))
        try:
            while data := await reader.read(1 << 16):
                queue.put_nowait((self._loop.time() + delay_s, data))
        finally:
            queue.put_nowait((self._loop.time() + delay_s + 0.5, b""))


class _Asked:
    """What has been asked on a connection and not been answered."""

    insert = False
