"""`runstream doctor`: find out what is wrong. It sends each service the requests of its users."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import grpc
from google.protobuf.internal import api_implementation

from runstream_common.clickhouse.client import ClickHouseConfig, StorageError, connect
from runstream_common.clickhouse.interface import ClickHouseClient
from runstream_common.clickhouse.schema.migrator import SchemaError, check_schema
from runstream_control import backups
from runstream_control.control_store import ControlStore
from runstream_control.errors import ControlError
from runstream_deploy.addresses import Addresses
from runstream_deploy.repair.broken_parts import find_broken

_LOW_DISK_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    subject: str
    problem: str | None
    """A sentence about the problem, or None when all is well."""
    remedy: str = ""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="runstream doctor", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runstream-data"), help="data folder of `runstream up`")
    arguments = parser.parse_args(argv)
    findings = asyncio.run(examine(arguments.data))
    for finding in findings:
        mark = "ok  " if finding.problem is None else "FAIL"
        print(f"{mark} {finding.subject}" + (f": {finding.problem}" if finding.problem else ""))
        if finding.problem and finding.remedy:
            print(f"     -> {finding.remedy}")
    bad = sum(finding.problem is not None for finding in findings)
    print("all is well" if not bad else f"{bad} of {len(findings)} checks failed")
    return 1 if bad else 0


async def examine(data: Path) -> list[Finding]:
    """Return the findings of all checks, in the order of the data's path.

    A check that depends on a failed one is left out.
    """
    findings = [_protobuf(), _disk(data)]
    addresses = Addresses.load(data)
    if addresses is None:
        missing = "no `runstream up` has used this folder"
        return [*findings, Finding(f"data folder {data}", missing, "start it: runstream up --data " + str(data))]
    up = "start it: runstream up --data " + str(data)
    findings.append(await _gateway(addresses.gateway, up))
    ingest = _http_check(
        "gateway and writer", f"http://{addresses.gateway_ops}/readyz", _log(data, "ingest", "gateway")
    )
    findings += [ingest, _http_check("query service", f"http://{addresses.query_ops}/readyz", _log(data, "query"))]
    findings.append(_http_check("query over HTTP", f"http://{addresses.http}/", _log(data, "query")))
    if addresses.embedded:
        findings += await _clickhouse(data, addresses)
    findings.append(await _control(data))
    return findings


def _protobuf() -> Finding:
    kind = api_implementation.Type()
    slow = None if kind == "upb" else f"protobuf uses its {kind} implementation, which is many times slower"
    return Finding("protobuf", slow, "unset PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION, or reinstall protobuf")


def _disk(data: Path) -> Finding:
    folder = data if data.exists() else Path()
    free = shutil.disk_usage(folder).free
    low = f"only {free >> 20} MiB free" if free < _LOW_DISK_BYTES else None
    return Finding(f"disk under {folder}", low, "free some space: when the disk is full, inserts fail and spools grow")


async def _gateway(address: str, up: str) -> Finding:
    channel = grpc.aio.insecure_channel(address)
    try:
        await asyncio.wait_for(channel.channel_ready(), 3)
        return Finding(f"gateway at {address}", None)
    except TimeoutError:
        return Finding(f"gateway at {address}", "it does not answer", up)
    finally:
        await channel.close()


def _http_check(subject: str, url: str, remedy: str) -> Finding:
    return Finding(f"{subject} at {url}", _http_problem(url), remedy)


def _http_problem(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=3) as response:  # noqa: S310  # our own http URL
            response.read()
            return None
    except urllib.error.HTTPError as error:
        return _bad_checks(error.read(2000).decode("utf-8", "replace"))
    except OSError as error:
        return str(error.args[-1] if error.args else error)


def _bad_checks(body: str) -> str:
    try:
        return "; ".join(f"{name}: {problem}" for name, problem in json.loads(body).items() if problem != "ok")
    except (ValueError, AttributeError):
        return body.strip()


async def _clickhouse(data: Path, addresses: Addresses) -> list[Finding]:
    subject = f"ClickHouse at http://{addresses.clickhouse}"
    try:
        password = (data / "clickhouse-password").read_text(encoding="ascii").strip()
        client = await connect(ClickHouseConfig(f"http://{addresses.clickhouse}/default", password=password))
    except (OSError, StorageError) as error:
        return [Finding(subject, str(error), _log(data, "clickhouse"))]
    try:
        await check_schema(client)
        return [Finding(subject, None), Finding("ClickHouse's schema", None), *await _stored(client)]
    except (StorageError, SchemaError) as error:
        return [Finding(subject, None), Finding("ClickHouse's schema", str(error), "runstream migrate")]
    finally:
        await client.close()


async def _stored(client: ClickHouseClient) -> list[Finding]:
    """Find parts that the engine detached, and parts whose contents do not agree with their checksums."""
    remedy = "copy the data folder, then run `runstream repair --all --dry-run`: it lists what can be restored"
    try:
        bad = [str(part) for part in await find_broken(client)]
    except StorageError as error:
        return [Finding("stored data", str(error), remedy)]
    shown = "; ".join(bad[:5]) + (f"; and {len(bad) - 5} more" if len(bad) > 5 else "")
    return [Finding("stored data", shown or None, remedy)]


async def _control(data: Path) -> Finding:
    try:
        await asyncio.to_thread(backups.check, data / "control.db")
    except ControlError as error:
        return Finding("control database", str(error), f"stop `up`, then: runstream control restore --data {data}")
    store = ControlStore.open(f"sqlite:///{(data / 'control.db').absolute()}")
    try:
        await store.check_schema()
        return Finding("control database", None)
    except ControlError as error:
        return Finding("control database", str(error), "runstream migrate")
    finally:
        await store.close()


def _log(data: Path, *names: str) -> str:
    logs = [str(path) for name in names if (path := data / "logs" / f"{name}.log").exists()]
    return f"see the end of {', '.join(logs)}" if logs else "start it: runstream up --data " + str(data)


if __name__ == "__main__":
    sys.exit(main())
