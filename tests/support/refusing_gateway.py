"""A gateway that answers every stream with an error, as one whose bus is down does: PORT."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc

from runstream_proto.v1 import ingest_pb2 as pb
from runstream_proto.v1 import ingest_pb2_grpc as rpc

CODES = itertools.cycle(
    [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNKNOWN]
)


class Refusing(rpc.IngestServiceServicer):
    async def Stream(self, requests: AsyncIterator[pb.IngestRequest], context: Any) -> AsyncIterator[pb.IngestResponse]:
        hello = await anext(aiter(requests))
        yield pb.IngestResponse(
            welcome=pb.Welcome(epoch=1, run=hello.hello.run, max_batch_bytes=4 << 20, max_in_flight=8)
        )
        await anext(aiter(requests))
        await context.abort(next(CODES), "this gateway refuses everything")


async def main() -> None:
    server = grpc.aio.server()
    rpc.add_IngestServiceServicer_to_server(Refusing(), server)
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
