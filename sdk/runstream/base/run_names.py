"""Run ids and names. The client makes them: `init()` needs no server."""

from __future__ import annotations

import os
import re
import zlib

from runstream.errors import UsageError

_ADJECTIVES = [
    "amber",
    "bold",
    "brisk",
    "calm",
    "clear",
    "clever",
    "cosmic",
    "crisp",
    "deft",
    "eager",
    "early",
    "fair",
    "fleet",
    "fresh",
    "gentle",
    "glad",
    "golden",
    "grand",
    "hardy",
    "jolly",
    "keen",
    "kind",
    "light",
    "lively",
    "lucid",
    "lucky",
    "mellow",
    "merry",
    "misty",
    "noble",
    "polar",
    "proud",
    "quick",
    "quiet",
    "rapid",
    "ready",
    "royal",
    "rustic",
    "serene",
    "silver",
    "smooth",
    "solar",
    "stellar",
    "still",
    "sunny",
    "swift",
    "tidy",
    "vivid",
    "warm",
    "wise",
]
_NOUNS = [
    "arrow",
    "aspen",
    "badger",
    "beacon",
    "birch",
    "breeze",
    "brook",
    "canyon",
    "cedar",
    "cliff",
    "cloud",
    "comet",
    "coral",
    "crane",
    "creek",
    "delta",
    "dune",
    "ember",
    "falcon",
    "fern",
    "field",
    "finch",
    "fjord",
    "forest",
    "glade",
    "grove",
    "harbor",
    "hawk",
    "heron",
    "island",
    "lagoon",
    "lake",
    "lark",
    "maple",
    "meadow",
    "mesa",
    "moon",
    "otter",
    "peak",
    "pine",
    "puma",
    "reef",
    "ridge",
    "river",
    "robin",
    "sparrow",
    "spruce",
    "star",
    "stone",
    "summit",
    "tide",
    "valley",
    "wave",
    "willow",
    "wolf",
    "wren",
]
_PATTERNS = {
    "team": re.compile(r"[A-Za-z0-9._-]{1,64}"),
    "project": re.compile(r"[A-Za-z0-9._-]{1,128}"),
    "run id": re.compile(r"[A-Za-z0-9._-]{1,128}"),
}


_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def encode_id(number: int, length: int = 10) -> str:
    """Return the lowest `length` digits of `number` in base 36."""
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 36)
        digits.append(_ALPHABET[digit])
    return "".join(digits)


def new_run_id() -> str:
    """Return ten characters of base 36: 51 random bits, which are unique enough within a project."""
    return encode_id(int.from_bytes(os.urandom(8), "big"))


def new_writer_id() -> str:
    """Return a stream's id: 26 characters, 130 random bits."""
    return encode_id(int.from_bytes(os.urandom(17), "big"), 26)


def default_name(run_id: str) -> str:
    """Return a name that people can say. It is a function of the run id, and so is the same on every rank."""
    number = zlib.crc32(run_id.encode())
    number, adjective = divmod(number, len(_ADJECTIVES))
    number, noun = divmod(number, len(_NOUNS))
    return f"{_ADJECTIVES[adjective]}-{_NOUNS[noun]}-{number % 1000}"


def check_name(what: str, value: str) -> str:
    """Return `value`, if it can name a team, a project or a run id. Raises UsageError."""
    if not isinstance(value, str) or not _PATTERNS[what].fullmatch(value) or value in (".", ".."):
        raise UsageError(
            f"the {what} {value!r} cannot be used: letters, digits, '.', '_' and '-', "
            f"at most {64 if what == 'team' else 128} of them"
        )
    return value
