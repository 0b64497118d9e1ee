"""`runstream doctor` on a machine that logs: check settings, address, key, gateway and spool as a run uses them."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from runstream.errors import SettingsError, SpoolError, UsageError
from runstream.server.key_file import Credentials, key_prefix
from runstream.server.reachable import page_problem
from runstream.settings import Settings
from runstream.spool import files
from runstream.spool.filesystems import may_map
from runstream.spool.folder import SpoolFolder, is_alive

SERVER_DATA = Path("runstream-data")
_LOW_DISK_BYTES = 1 << 30
_PATIENCE_S = 5.0


def main(argv: list[str]) -> int:
    """Check the server where its data folder is named or found here, else check this machine as one that logs."""
    parser = argparse.ArgumentParser(prog="runstream doctor", description=__doc__)
    parser.add_argument(
        "--data",
        type=Path,
        help=f"data folder of `runstream up`: look at the server (default where {SERVER_DATA}/up.json is)",
    )
    arguments = parser.parse_args(argv)
    if arguments.data is not None or (SERVER_DATA / "up.json").exists():
        from runstream.cli.server_commands import server_command

        return server_command("doctor")(argv)
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        print(f"FAIL settings: {error}")
        return 1
    print(f"This machine as one that logs to {settings.base_url} (for the server: --data FOLDER)")
    bad = total = 0
    for subject, problem in examine(settings):
        print(f"ok   {subject}" if problem is None else f"FAIL {subject}: {problem}")
        bad, total = bad + (problem is not None), total + 1
    print("all is well" if not bad else f"{bad} of {total} checks failed")
    return 1 if bad else 0


def examine(settings: Settings) -> Iterator[tuple[str, str | None]]:
    """Yield each check and what is wrong with it (None: nothing), in the order of a point's way to the server.

    A check that depends on a failed one is left out.
    """
    yield from _spool(settings.root)
    key, problem = _key(settings)
    yield "API key" + (f" {key_prefix(key)}" if key else ""), problem
    if key:
        yield f"page at {settings.base_url}", page_problem(settings) or None
        yield f"gateway at {settings.gateway_address}", _gateway_problem(settings, key)


def _spool(root: Path) -> Iterator[tuple[str, str | None]]:
    spool = SpoolFolder(root)
    try:
        spool.prepare()
    except SpoolError as error:
        yield f"spool {root}", str(error)
        return
    how = "mapped" if may_map(root) else "appended to: its file system is not known to be safe to map"
    yield f"spool {root} ({how})", None
    free = shutil.disk_usage(root).free
    yield "disk under it", f"only {free >> 20} MiB free: a full disk loses records" if free < _LOW_DISK_BYTES else None
    waiting = [path for path in spool.stream_folders() if not is_alive(path)]
    idle = bool(waiting) and not files.is_locked(spool.sender_lock)
    left = f"{len(waiting)} streams of ended processes wait and no sender runs: `runstream status`, `runstream sync`"
    yield "what earlier runs left", left if idle else None


def _key(settings: Settings) -> tuple[str, str | None]:
    """Return the key that a run would use, and what is wrong with it."""
    key = settings.api_key or Credentials(settings.root).find(settings.base_url) or ""
    if not key:
        return "", f"none is known for {settings.base_url}: `runstream login`, or RUNSTREAM_API_KEY"
    try:
        key_prefix(key)
    except UsageError as error:
        return "", str(error)
    return key, None


def _gateway_problem(settings: Settings, key: str) -> str | None:
    """Send the gateway a request that changes nothing, as the sender would, and return what is wrong."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # the line that is returned says what gRPC would print
    import grpc

    from runstream.sender.link import gateway_in_words
    from runstream_proto.v1 import ingest_pb2 as pb
    from runstream_proto.v1 import ingest_pb2_grpc as rpc

    address = settings.gateway_address
    secure = settings.tls
    channel = grpc.secure_channel(address, grpc.ssl_channel_credentials()) if secure else grpc.insecure_channel(address)
    run = pb.RunPath(team=settings.entity, project=settings.project, run="doctor")
    try:
        rpc.IngestServiceStub(channel).FindMissingMedia(
            pb.MediaQuestion(run=run), metadata=(("authorization", f"Bearer {key}"),), timeout=_PATIENCE_S
        )
    except grpc.RpcError as error:
        code, details = error.code(), error.details()
        if code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT):
            return None  # the server knows the key, and has no such project yet
        if code == grpc.StatusCode.UNAUTHENTICATED:
            return f"does not know the API key ({details})"
        if code == grpc.StatusCode.UNIMPLEMENTED:
            return "is no runstream gateway: set RUNSTREAM_GATEWAY to host:port of one"
        hint = "" if secure else "; a server behind TLS needs RUNSTREAM_BASE_URL=https://..."
        return f"{gateway_in_words(address)} cannot be asked ({code.name}: {details}): check RUNSTREAM_GATEWAY{hint}"
    finally:
        channel.close()
    return None
