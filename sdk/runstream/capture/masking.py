"""Masking of secrets in data that is captured automatically: by the form of a value, and by its name.

It runs in the training process, before anything is written: so it uses the standard library only, and takes linear time
in its text. The forms are those that issuers of tokens publish (`shapes.py`); the tests compare it with a detector that
others maintain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from runstream.capture.secret_patterns import BY_SIGN, WITHOUT_SIGN

MASK = "***"
_MAX_LINE = 4096
"""How many characters are searched at once: a longer line is searched in pieces."""
_CUTS, _AROUND = 8, 256
"""How many places are tried to cut a long line at, and how many characters on both sides of a place are searched."""
_MAX_DEPTH = 64

_LONG = re.compile(r"[^\s\"'`<>,;(){}\[\]]{12,}")
"""Words that are long enough to have a secret's form."""
_USERINFO = re.compile(r"(?<=://)[^/\s@\"'<>]{1,512}(?=@)")
"""The user and password of a URL, or a token in their place. A user's plain name is no secret, but is masked too."""
_PLAIN_USERS = frozenset({"git", "hg", "svn"})
_KEY_BLOCK = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:[^-]{0,8000}-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?"
)
_KEY_BODY = re.compile(r"^[+\- ]?\s*[\"']?[A-Za-z0-9+/]{60,76}={0,2}(?:\\n)?[\"']?,?\s*$")
"""A line in the middle of a private key's block."""
_PARAMETER = re.compile(
    r"([?&](?:sig|key|code|auth|pwd|[\w-]{0,40}(?:token|secret|passw(?:or)?d|api_?key|signature|credential))=)"
    r"[^&\s\"'#;]+",
    re.IGNORECASE,
)
_HEADER = re.compile(r"\b(bearer|basic|token)(\s+)(?=[\w.~+/=-]{0,64}\d)[\w.~+/=-]{16,}", re.IGNORECASE)
_SIGNS = ("token", "secret", "pass", "pwd", "key", "credential", "webhook", "dsn", "pat", "authorization")
"""Parts of names, in lower case: one of them is in each line in which `_ASSIGNED` finds something."""
_ASSIGNED = re.compile(
    r"(?<![A-Za-z0-9])(?P<name>[\w-]{0,64}?(?:token|secret|passw(?:or)?d|passphrase|pwd|api[_-]?key|access[_-]?key|"
    r"account_?key|private[_-]?key|credentials?|webhook|dsn|(?<![A-Za-z])pass|(?<![A-Za-z])pat|authorization)"
    r"(?![A-Za-z])[\w-]{0,32})(?P<is>[\"']?\s{0,8}(?:=>|[=:])(?P<gap>\s{0,8}))(?P<quote>[\"']?)"
    r"(?!(?:None|null|true|false|\*\*\*)\b)(?P<value>[^\s\"',;\[\]{}()<>]{4,})",
    re.IGNORECASE,
)
_TYPE = re.compile(r"str|bytes|int|bool|float|object|[A-Z][a-z]+(?:[A-Z][a-z]*)*")
_SETTING = re.compile(r"[+\- ]?\s*(?:export\s+|-\s+)?[\w.-]+\s*(?::\s|=)")
"""The beginning of a line in a file of variables or in YAML."""
_RUN = re.compile(r"[A-Za-z0-9_+/=.-]{24,}")
_ALIKE = re.compile(r"[a-z]+|[A-Z]+|\d+")

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_ALWAYS = frozenset(
    {"password", "passwd", "passphrase", "passcode", "pwd", "secret", "secrets", "apikey", "credential", "credentials"}
    | {"passwords", "jwt", "dsn", "cookie", "webhook", "authorization", "pat"}
)
_KEYS = frozenset(
    {"api", "access", "private", "secret", "signing", "encryption", "account", "ssh", "auth", "master", "service"}
    | {"license", "subscription", "deploy"}
)
_PASSES = frozenset({"", "db", "database", "user", "admin", "root", "mysql", "pg", "postgres", "redis", "smtp", "ftp"})
_ISSUERS = frozenset(
    {"access", "api", "auth", "bearer", "bot", "deploy", "discord", "gh", "github", "gitlab", "hf", "hub", "npm"}
    | {"huggingface", "oauth", "openai", "personal", "pypi", "refresh", "registry", "secret", "service", "session"}
    | {"slack", "telegram", "user", "vault", "wandb"}
)
_NEVER = frozenset({"path", "file", "filename", "dir", "folder", "name", "length", "len", "size", "count", "type"})
"""A name that ends in one of these says where a secret is, or how long it is, and holds none."""


def mask(text: str) -> str:
    """Return `text`, of one line or many, with everything masked that has a secret's form."""
    if "PRIVATE KEY" in text:
        text = _KEY_BLOCK.sub(MASK, text)
    if "://" in text and "@" in text:
        text = _USERINFO.sub(lambda found: found[0] if found[0] in _PLAIN_USERS else MASK, text)
    text = _LONG.sub(_mask_word, text)
    return _PARAMETER.sub(rf"\g<1>{MASK}", text) if "=" in text and ("?" in text or "&" in text) else text


def mask_line(line: str) -> str:
    """Return a line of output with secrets masked by their form and by the name they are given."""
    return _in_pieces(line, _mask_output)


def mask_code(text: str) -> str:
    """Return lines of code, such as a diff's, with secrets masked.

    Text that looks random is masked as well; names of variables are not.
    """
    return "\n".join(_in_pieces(line, _mask_code_line) for line in text.split("\n"))


def mask_command(arguments: list[str]) -> list[str]:
    """Return a command's arguments with secrets masked.

    An argument after an option with a secret's name is masked, and so is an argument that looks random.
    """
    masked: list[str] = []
    secret_follows = False
    for argument in arguments:
        name, equals, value = argument.partition("=")
        named = is_secret_name(name) or _ends_in_token(name)
        if secret_follows and not argument.startswith("--"):
            masked.append(MASK)
        elif equals and value and named:
            masked.append(f"{name}={MASK}")
        else:
            masked.append(_RUN.sub(_mask_random, mask_line(argument)))
        secret_follows = argument.startswith("-") and not equals and named
    return masked


def mask_config(value: object, name: str = "", depth: int = 0) -> Any:
    """Return a config's value with secrets masked, by the name of a key and by form.

    A value without one is unchanged.
    """
    if isinstance(value, Mapping) and depth < _MAX_DEPTH:
        return {key: mask_config(item, str(key), depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and depth < _MAX_DEPTH:
        return [mask_config(item, name, depth + 1) for item in value]
    if not isinstance(value, str) or not value:
        return value
    if is_secret_name(name) or (_ends_in_token(name) and _is_random(value, 12)):
        return MASK
    return mask(value)


def is_secret_name(name: str) -> bool:
    """Return whether the value of that name is a secret: `db_password`, `--api-key`, `AWS_SECRET_ACCESS_KEY`, `dbPass`.

    A token is a secret only if its name says whose it is: trainings have many tokens of another kind (`eos_token`).
    """
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or words[-1] in _NEVER:
        return False
    before = words[-2] if len(words) > 1 else ""
    if words[-1] in ("key", "keys"):
        return before in _KEYS
    if words[-1] == "pass":
        return before in _PASSES
    return words[-1] in _ALWAYS or (words[-1] == "token" and before in _ISSUERS)


def _ends_in_token(name: str) -> bool:
    words = _WORDS.findall(name)
    return bool(words) and words[-1].lower() == "token"


def _mask_word(found: re.Match[str]) -> str:
    """Return the word with everything masked that looks like a secret.

    A long word is masked in parts; nothing is cut away.
    """
    whole = found[0]
    return "".join(_mask_part(whole[start : start + _MAX_LINE]) for start in range(0, len(whole), _MAX_LINE))


def _mask_part(word: str) -> str:
    for sign, shape in BY_SIGN:
        if sign in word:
            word = shape.sub(MASK, word)
    return WITHOUT_SIGN.sub(MASK, word)


def _in_pieces(line: str, masked: Callable[[str], str]) -> str:
    """Mask a line of any length, in pieces: the time of `masked` grows faster than the length of its text."""
    found: list[str] = []
    start = 0
    while len(line) - start > _MAX_LINE:
        end = _cut(line, start + _MAX_LINE, masked)
        found.append(masked(line[start:end]))
        start = end
    return "".join([*found, masked(line[start:])])


def _cut(line: str, end: int, masked: Callable[[str], str]) -> int:
    """Return where to cut the line, at `end` or before it.

    The place is between words, and cuts no secret and no name of a secret in two.
    """
    place = end
    for _ in range(_CUTS):
        space = line.rfind(" ", end - _MAX_LINE // 2, place)
        place = space if space >= 0 else place - _AROUND // 2
        before, after = line[place - _AROUND : place], line[place : place + _AROUND]
        if masked(before + after) == masked(before) + masked(after):
            break
    return place


def _mask_output(line: str) -> str:
    return _mask_named(line, code=False)


def _mask_code_line(line: str) -> str:
    return _RUN.sub(_mask_random, _mask_named(line, code=True))


def _mask_named(line: str, *, code: bool) -> str:
    line = mask(line)
    lowered = line.lower()
    if "bearer" in lowered or "basic" in lowered or "token" in lowered:
        line = _HEADER.sub(rf"\g<1>\g<2>{MASK}", line)
    if any(sign in lowered for sign in _SIGNS):
        line = _ASSIGNED.sub(lambda found: _mask_assigned(found, code), line)
    return _KEY_BODY.sub(MASK, line) if len(line) >= 60 else line


def _mask_assigned(found: re.Match[str], code: bool) -> str:
    value = found["value"]
    if code and not found["quote"] and not any(map(str.isdigit, value)):
        # The value is a name, a call or a type, unless the line is one of settings.
        rest = found.string[found.end() :].strip()
        if rest or not _SETTING.match(found.string) or _TYPE.fullmatch(value) or (found["gap"] and "=" in found["is"]):
            return found[0]
    return value.startswith("$") and found[0] or f"{found['name']}{found['is']}{found['quote']}{MASK}"


def _mask_random(found: re.Match[str]) -> str:
    return MASK if _is_random(found[0], 24) else found[0]


def _is_random(word: str, length: int) -> bool:
    """Return whether a word has letters and digits in an order that no name has.

    Such a word is hexadecimal of a key's length, or has letters of both cases and digits that alternate everywhere.
    `length` is the smallest length, in characters.
    """
    if len(word) < length or re.search(r"[\s.<>\[\]]", word):
        return False
    if re.fullmatch(r"[0-9a-f]+|[0-9A-F]+", word):
        return len(word) >= 32 and len(word) % 8 == 0
    changes = max(len(_ALIKE.findall(part)) for part in re.split(r"[_/-]", word))
    return changes >= length // 3 and any(map(str.isdigit, word)) and any(map(str.isalpha, word))
