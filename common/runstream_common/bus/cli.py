"""`runstream deadletter list | show | replay | discard`: handle messages that the writers could not store."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

from runstream_common.bus.dead_letters import DeadLetter, DeadLetterBox, read_letters
from runstream_common.bus.kafka import KafkaRepublisher
from runstream_common.bus.kafka_config import KafkaConfig
from runstream_common.bus.protocol import BusError
from runstream_common.service.config import ConfigError, Env
from runstream_common.times import from_us


class UnknownLetterError(Exception):
    """No letter has this id."""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="runstream deadletter", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="a line for each letter that waits")
    listing.add_argument("--json", action="store_true", help="a JSON object a line")
    show = commands.add_parser("show", help="everything about one letter")
    show.add_argument("id", help="topic/partition/offset, as listed")
    show.add_argument("--save", type=Path, metavar="FILE", help="write the message's bytes to a file")
    for name, meaning in (
        ("replay", "put it back on the topic, as it was: the writers try again"),
        ("discard", "forget it, for good"),
    ):
        command = commands.add_parser(name, help=meaning)
        command.add_argument("id", nargs="*", help="topic/partition/offset, as listed")
        command.add_argument("--all", action="store_true", help="every letter that waits")
    arguments = parser.parse_args(argv)
    try:
        return asyncio.run(_run(arguments))
    except (ConfigError, BusError, UnknownLetterError, OSError) as error:
        print(f"runstream deadletter: {error}", file=sys.stderr)
        return 1


async def _run(arguments: argparse.Namespace) -> int:
    config = KafkaConfig.from_env(Env())
    if arguments.command == "list":
        for letter in await read_letters(config):
            print(json.dumps(_plain(letter)) if arguments.json else _line(letter))
        return 0
    if arguments.command == "show":
        letter = await _find(config, arguments.id)
        print(json.dumps(_plain(letter), indent=2))
        if arguments.save:
            arguments.save.write_bytes(letter.value)
        return 0
    wanted = [letter.id for letter in await read_letters(config)] if arguments.all else arguments.id
    if not wanted and not arguments.all:
        raise UnknownLetterError("name letters by their id, or give --all")
    box, topic = DeadLetterBox(config), KafkaRepublisher(config)
    try:
        for name in wanted:
            letter = await _find(config, name)
            if arguments.command == "replay":
                await topic.publish(letter.key, letter.value, letter.headers)
            await box.forget(letter)
            print(f"{arguments.command} {letter.id}: done")
    finally:
        await topic.close()
        await box.close()
    return 0


async def _find(config: KafkaConfig, name: str) -> DeadLetter:
    found = next((letter for letter in await read_letters(config, name) if letter.id == name), None)
    if found is None:
        raise UnknownLetterError(f"there is no dead letter {name!r}: see `runstream deadletter list`")
    return found


def _line(letter: DeadLetter) -> str:
    origin = letter.origin
    run = "/".join(str(origin[name]) for name in ("team", "project", "run") if name in origin) or "run unknown"
    when = f"{from_us(letter.why.time_us):%Y-%m-%d %H:%M:%S}"
    return f"{letter.id}  {when}  {run}  {letter.size} bytes  {letter.why.reason}: {letter.why.detail[:120]}"


def _plain(letter: DeadLetter) -> dict[str, object]:
    why = letter.why
    return {
        "id": letter.id,
        "reason": why.reason,
        "detail": why.detail,
        "time": from_us(why.time_us).isoformat(),
        "version": why.version,
        "key": letter.key.decode("utf-8", "replace"),
        "bytes": letter.size,
        "origin": letter.origin,
    }
