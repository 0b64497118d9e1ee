"""Several query services on one PostgreSQL hand out one sweep's trials; one of them is killed and comes back."""

from __future__ import annotations

import threading
import uuid
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from runstream_proto.v1 import sweep_pb2 as pb
from tests.support.postgres import postgres_url
from tests.support.processes import wait_for
from tests.support.stack import ServiceStack
from tests.support.sweeps import LOSS, SweepClient, SweepServer

AGENTS, POINTS = 120, 480
BEFORE, AT_THE_OTHER = 100, 240
"""Trials ended before the kill; that the other server's agents end before it hands out again."""


class Workshop:
    """Agents, half at each server, and what they were given."""

    def __init__(self, servers: list[SweepServer]) -> None:
        self.servers = servers
        self.leases: dict[int, set[str]] = defaultdict(set)
        self.accepted: Counter[int] = Counter()
        self.by_server = [0, 0]
        self.back = threading.Event()
        self._lock = threading.Lock()

    def work(self, sweep: str, index: int) -> None:
        at = index % 2
        client = self.servers[at].client()
        agent = _patiently(client.agent, sweep, f"agent-{index}")
        while True:
            request_id = uuid.uuid4().hex
            answer = _patiently(client.lease, agent, 1, 10.0, request_id)
            if answer.verdict == pb.LeaseTrialsResponse.VERDICT_STOP:
                break
            for leased in answer.trials:
                with self._lock:
                    self.leases[leased.trial.number].add(leased.lease)
                if _patiently(client.end, agent, leased, float(leased.trial.number)).accepted:
                    with self._lock:
                        self.accepted[leased.trial.number] += 1
                        self.by_server[at] += 1
            if at == 1 and self.by_server[1] >= AT_THE_OTHER:
                self.back.wait(240)
        client.close()


def _patiently(call, *arguments):  # type: ignore[no-untyped-def]  # whatever the client's method takes and returns
    """Again, with the same words, while the server is away."""
    while True:
        try:
            return call(*arguments)
        except grpc.RpcError as error:
            assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED), error


@pytest.mark.timeout(300)
def test_two_servers_on_one_database_never_lease_a_trial_twice_also_when_one_is_killed(
    embedded: ServiceStack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("servers")
    databases = postgres_url(tmp_path_factory.mktemp("postgres"))
    url = next(databases)
    servers = [SweepServer(embedded, folder / str(number), url).start() for number in range(2)]
    client = SweepClient(servers[1].address, servers[1].key)
    try:
        parameters = {"a": {"min": 1, "max": POINTS}}
        sweep = client.create({"method": "grid", "metric": LOSS, "parameters": parameters}).id
        shop = Workshop(servers)
        with ThreadPoolExecutor(AGENTS) as pool:
            agents = [pool.submit(shop.work, sweep, index) for index in range(AGENTS)]
            wait_for(lambda: shop.accepted.total() >= BEFORE, "some trials", 120)
            servers[0].kill()
            servers[0].start()
            before = shop.by_server[0]
            wait_for(lambda: shop.by_server[0] > before, "a trial from the server that came back", 120)
            shop.back.set()
            for one in agents:
                one.result(240)
        assert shop.accepted == Counter(range(1, POINTS + 1)), "each ended once"
        assert all(len(leases) == 1 for leases in shop.leases.values()), "none was leased twice, nor to two"
        assert before > 0 and shop.by_server[1] > 0, "both have handed out"
        counts = client.sweep(sweep).counts
        assert (counts.finished, counts.running, counts.queued) == (POINTS, 0, 0)
        assert max(trial.attempt for trial in client.trials(sweep)) == 1
        assert len({trial.parameters_json for trial in client.trials(sweep)}) == POINTS
    finally:
        client.close()
        for server in servers:
            server.stop()
        next(databases, None)
