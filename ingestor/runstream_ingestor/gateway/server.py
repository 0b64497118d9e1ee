"""The gateway's gRPC server."""

from __future__ import annotations

import grpc

from runstream_common.limits import MAX_BATCH_BYTES
from runstream_common.service.malformed import RefuseMalformed
from runstream_common.service.tls import NEWCOMERS, grpc_port
from runstream_ingestor.gateway.authentication import AuthenticationInterceptor
from runstream_ingestor.gateway.config import GatewayConfig
from runstream_ingestor.gateway.ingest_servicer import IngestServicer
from runstream_proto.v1 import ingest_pb2_grpc as rpc

_OPTIONS = [
    *NEWCOMERS,
    # A batch one byte too large gets a Reject that says so; ten times too large ends the stream.
    ("grpc.max_receive_message_length", 2 * MAX_BATCH_BYTES),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.so_reuseport", 0),
]


class GatewayServer:
    """A server whose `start()` binds and serves. `close()` lets batches in flight finish, within a bound."""

    def __init__(self, config: GatewayConfig, service: IngestServicer, admission: AuthenticationInterceptor) -> None:
        self._config = config
        self._server = grpc.aio.server(options=_OPTIONS, interceptors=[admission, RefuseMalformed()])
        rpc.add_IngestServiceServicer_to_server(service, self._server)
        self.port = 0

    async def start(self) -> None:
        """Bind and serve. Raise OSError when the address cannot be bound."""
        config = self._config
        self.port = grpc_port(self._server, config.address, config.tls_certificate, config.tls_key)
        await self._server.start()

    async def close(self) -> None:
        await self._server.stop(self._config.drain_s)
