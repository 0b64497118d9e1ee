"""Compute the mean of a vector over all ranks, over TCP: a small substitute for NCCL, in thirty lines for a demo."""

from __future__ import annotations

import os
import socket
import time
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

_CONNECT_TIMEOUT_S = 60.0


class Ring:
    """A group of ranks: rank 0 collects, averages and sends the mean back.

    `mean` blocks until all ranks have called it.
    """

    def __init__(self, rank: int, world: int) -> None:
        self._rank, self._world = rank, world
        self._peers: list[socket.socket] = []
        if world > 1:
            address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
            self._peers = self._accept(address) if rank == 0 else [self._connect(address)]

    def mean(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean over all ranks of (P,) vectors: (P,), the same on every rank."""
        if self._world == 1:
            return vector
        if self._rank:
            self._peers[0].sendall(vector.tobytes())
            return self._receive(self._peers[0], vector.nbytes)
        total = vector + sum(self._receive(peer, vector.nbytes) for peer in self._peers)
        result: NDArray[np.float64] = total / self._world
        for peer in self._peers:
            peer.sendall(result.tobytes())
        return result

    def __enter__(self) -> Ring:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for peer in self._peers:
            peer.close()

    def _accept(self, address: tuple[str, int]) -> list[socket.socket]:
        with socket.create_server(address) as server:
            server.settimeout(_CONNECT_TIMEOUT_S)
            return [self._prepared(server.accept()[0]) for _ in range(self._world - 1)]

    def _connect(self, address: tuple[str, int]) -> socket.socket:
        deadline = time.monotonic() + _CONNECT_TIMEOUT_S
        while True:
            try:
                return self._prepared(socket.create_connection(address, timeout=5))
            except OSError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.05)

    @staticmethod
    def _prepared(peer: socket.socket) -> socket.socket:
        peer.settimeout(_CONNECT_TIMEOUT_S)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return peer

    @staticmethod
    def _receive(peer: socket.socket, size: int) -> NDArray[np.float64]:
        data = bytearray(size)
        view, done = memoryview(data), 0
        while done < size:
            count = peer.recv_into(view[done:])
            if not count:
                raise ConnectionError("another rank ended")
            done += count
        return np.frombuffer(data)
