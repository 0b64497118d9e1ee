"""The control database of `runstream up`: damage is seen before anything is done with it, sound copies are kept, and
one is put back."""

from __future__ import annotations

import asyncio
import random
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from runstream_control import backups
from runstream_control.backups import ControlDamagedError
from runstream_control.control_store import ControlStore, Resume
from runstream_deploy.doctor import _control
from tests.support.processes import free_port
from tests.support.stack import clean_environment

PAGE = 4096


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """One with a key, a project and 200 runs."""
    asyncio.run(_fill(tmp_path / "control.db"))
    return tmp_path / "control.db"


async def _fill(path: Path) -> None:
    store = ControlStore.open(f"sqlite:///{path}")
    await store.migrate()
    key = await store.bootstrap("main", "ann")
    who = await store.authenticate(str(key))
    for number in range(200):
        await store.bind_stream(
            who, team="main", project="p", run=f"run-{number}", writer_id="writer-0", rank=0, resume=Resume.ALLOW
        )
    await store.close()


def _damage(path: Path, seed: int) -> None:
    """Random bytes over four pages."""
    chance = random.Random(seed)
    pages = path.stat().st_size // PAGE
    with path.open("r+b") as file:
        for page in chance.sample(range(pages), 4):
            file.seek(page * PAGE)
            file.write(chance.randbytes(PAGE))


@pytest.mark.parametrize("seed", range(5))
def test_random_bytes_over_four_pages_are_seen_and_a_copy_is_put_back(database: Path, seed: int) -> None:
    made = backups.copy(database)
    assert made is not None and stat.S_IMODE(made.stat().st_mode) == 0o600
    _damage(database, seed)
    with pytest.raises(ControlDamagedError, match="runstream control restore"):
        backups.check(database)
    found = asyncio.run(_control(database.parent))
    assert found.problem is not None and "damaged" in found.problem and "restore" in found.remedy
    with pytest.raises(ControlDamagedError):
        backups.copy(database)
    assert backups.copies(database) == [made], "what is damaged does not push a good copy out"
    aside = backups.restore(database, made)
    assert aside is not None and (aside / "control.db").exists()
    backups.check(database)
    assert stat.S_IMODE(database.stat().st_mode) == 0o600


@pytest.mark.parametrize("run", ["run-0", "begun-since"])
def test_attempts_after_a_restoration_have_numbers_that_none_had(database: Path, run: str) -> None:
    """Also of a run that the copy does not know, and when the same copy is put back again."""
    made = backups.copy(database)
    assert made is not None

    async def attempt(writer: str) -> int:
        store = ControlStore.open(f"sqlite:///{database}")
        key = await store.create_api_key("ann", "main")
        who = await store.authenticate(str(key))
        bound = await store.bind_stream(
            who, team="main", project="p", run=run, writer_id=writer, rank=0, resume=Resume.ALLOW
        )
        await store.close()
        return bound.epoch

    given = [asyncio.run(attempt("writer-first")), asyncio.run(attempt("writer-second"))]
    for writer in ("writer-second", "writer-third"):
        backups.restore(database, made)
        given.append(asyncio.run(attempt(writer)))
    assert given == sorted(set(given))


def test_three_copies_are_kept_and_none_is_made_of_what_has_not_changed(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = backups.copy(database)
    assert made is not None and backups.copy(database) is None
    for number in range(5):
        monkeypatch.setattr(backups.time, "strftime", lambda form, when, number=number: f"2999010{number}-000000")
        asyncio.run(_rename(database, f"team-{number}"))
        assert backups.copy(database) is not None
    assert [path.name for path in backups.copies(database)] == [f"control-2999010{n}-000000.db" for n in (2, 3, 4)]


async def _rename(path: Path, team: str) -> None:
    store = ControlStore.open(f"sqlite:///{path}")
    await store.create_api_key("ann", team)
    await store.close()


def test_a_database_that_is_gone_is_not_made_anew_beside_its_copies(database: Path) -> None:
    backups.copy(database)
    for path in database.parent.glob("control.db*"):
        path.unlink()
    with pytest.raises(ControlDamagedError, match="is gone, its copies are there"):
        backups.check(database)


@pytest.mark.timeout(120)
def test_up_refuses_what_is_damaged_and_the_command_mends_it(database: Path) -> None:
    data = database.parent
    backups.copy(database)
    _damage(database, 14)
    command = [sys.executable, "-m", "runstream.cli"]
    ports = ",".join(str(free_port()) for _ in range(7))
    options = {"env": clean_environment(), "capture_output": True, "text": True, "timeout": 60}
    up = subprocess.run([*command, "up", "--data", str(data), "--ports", ports], check=False, **options)  # type: ignore[call-overload]
    assert up.returncode == 1 and "is damaged" in up.stderr and "runstream control restore" in up.stderr, up.stderr
    module = [sys.executable, "-m", "runstream_deploy.control_command"]
    assert subprocess.run([*module, "check", "--data", str(data)], check=False, **options).returncode == 1  # type: ignore[call-overload]
    done = subprocess.run([*module, "restore", "--data", str(data)], check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0 and "its files from before are in" in done.stdout, done.stderr
    assert subprocess.run([*module, "check", "--data", str(data)], check=False, **options).returncode == 0  # type: ignore[call-overload]
