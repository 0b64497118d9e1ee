"""The control database, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from runstream_common.service.config import ConfigError
from runstream_control import api_keys, saved_tables, sweep_tables
from runstream_control.authenticator import CachedAuthenticator
from runstream_control.cli import main as key_command
from runstream_control.control_store import ControlStore, DeletedRun, Resume, StreamBinding
from runstream_control.errors import (
    AuthenticationError,
    ControlUnavailableError,
    NotFoundError,
    PermissionDeniedError,
    RefusedNameError,
    RunDeletedError,
    RunExistsError,
    RunMissingError,
)
from runstream_control.principal import Principal, Role
from runstream_control.sweeps.model import Registration
from runstream_control.sweeps.sweep_store import SweepStore


async def someone(store: ControlStore, team: str = "acme", role: Role = Role.MEMBER) -> Principal:
    return await store.authenticate(await store.create_api_key("ann", team, role))


async def bind(store: ControlStore, who: Principal, writer: str = "writer-1", **changes: object) -> StreamBinding:
    fields: dict[str, object] = {"team": "", "project": "p", "run": "r", "writer_id": writer, "rank": 0}
    return await store.bind_stream(who, **{"resume": Resume.ALLOW, **fields, **changes})  # type: ignore[arg-type]


async def test_a_key_is_shown_once_and_only_its_hash_is_kept(store: ControlStore) -> None:
    key = await store.bootstrap("acme", "ann")
    assert key is not None and api_keys.prefix_of(key) is not None
    assert await store.bootstrap("acme", "ann") is None
    who = await store.authenticate(key)
    assert (who.user, who.default_team, who.can_write("acme"), who.can_read("other")) == ("ann", "acme", True, False)
    (row,) = await store.list_keys()
    assert key not in repr(row) and key.startswith(row.prefix)


@pytest.mark.parametrize("how", ["empty", "garbage", "unknown", "secret", "nul", "long"])
async def test_keys_that_are_not_valid_get_the_same_words(store: ControlStore, how: str) -> None:
    key = await store.create_api_key("ann", "acme")
    bad = {
        "empty": "",
        "garbage": "hunter2",
        "unknown": "rs_000000000000_" + "x" * 43,
        "secret": key[:-1] + ("A" if key[-1] != "A" else "B"),
        "nul": key + "\0",
        "long": "rs_" + "x" * 100_000,
    }[how]
    with pytest.raises(AuthenticationError) as caught:
        await store.authenticate(bad)
    assert str(caught.value) == str(AuthenticationError())


async def test_a_revoked_key_ends_within_the_cache_time(store: ControlStore) -> None:
    key = await store.create_api_key("ann", "acme")
    cached = CachedAuthenticator(store, ttl_s=0.2)
    assert (await cached.authenticate(key)).user == "ann"
    await store.revoke_api_key(key[:15])
    with pytest.raises(AuthenticationError):
        await store.authenticate(key)
    async with asyncio.timeout(30):
        while True:
            try:
                await cached.authenticate(key)
            except AuthenticationError:
                break
            await asyncio.sleep(0.02)
    with pytest.raises(NotFoundError):
        await store.revoke_api_key("rs_000000000000")


async def test_the_same_writer_gets_the_same_epoch_and_a_later_one_a_higher(store: ControlStore) -> None:
    who = await someone(store)
    first = await bind(store, who)
    again = await bind(store, who)
    second = await bind(store, who, "writer-2")
    assert first.new_run and not again.new_run
    assert first.epoch == again.epoch == 1 and second.epoch == 2
    assert first.run_created_us == second.run_created_us
    assert [row.project for row in await store.projects(who)] == ["p"]


async def test_a_hundred_writers_at_once_get_a_hundred_epochs(store: ControlStore) -> None:
    who = await someone(store)
    bindings = await asyncio.gather(*(bind(store, who, f"writer-{n:03d}", rank=n) for n in range(100)))
    assert sorted(binding.epoch for binding in bindings) == list(range(1, 101))
    assert len({binding.run_created_us for binding in bindings}) == 1


async def test_resume_never_lets_the_ranks_of_one_job_in_and_a_second_job_not(store: ControlStore) -> None:
    who = await someone(store)
    for rank in range(3):
        await bind(store, who, f"first-job-{rank}", rank=rank, resume=Resume.NEVER)
    await bind(store, who, "first-job-0", rank=0, resume=Resume.NEVER)  # a reconnect
    with pytest.raises(RunExistsError, match="resume='allow'"):
        await bind(store, who, "second-job-0", rank=0, resume=Resume.NEVER)
    assert (await bind(store, who, "second-job-0", rank=0)).epoch == 4


async def test_resume_must_needs_the_run(store: ControlStore) -> None:
    who = await someone(store)
    with pytest.raises(RunMissingError, match="no run 'r'"):
        await bind(store, who, resume=Resume.MUST)
    await bind(store, who)
    await bind(store, who, "writer-2", resume=Resume.MUST)


async def test_rights_are_checked(store: ControlStore) -> None:
    viewer = await someone(store, role=Role.VIEWER)
    with pytest.raises(PermissionDeniedError, match="may not write"):
        await bind(store, viewer)
    other = await store.authenticate(await store.create_api_key("bob", "rivals"))
    with pytest.raises(PermissionDeniedError):
        await bind(store, other, team="acme")
    await bind(store, other, project="secret")
    assert await store.projects(viewer) == []
    assert await store.projects(viewer, "rivals") == []


HOSTILE = [
    "",
    ".",
    "..",
    "a/b",
    "a b",
    "x" * 129,
    "'; DROP TABLE runs; --",
    "{x:String}",
    "nul\0",
    "\u202eabc",
    "ümlaut",
    "`",
]


@pytest.mark.parametrize("field", ["project", "run"])
@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_names_are_refused(store: ControlStore, field: str, name: str) -> None:
    who = await someone(store)
    with pytest.raises(RefusedNameError, match=f"the {field}"):
        await bind(store, who, **{field: name})


async def test_two_processes_may_use_one_sqlite_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'control.db'}"
    store = ControlStore.open(url)
    await store.migrate()
    key = await store.create_api_key("ann", "acme")
    script = (
        "import asyncio, sys\n"
        "from runstream_control.control_store import ControlStore, Resume\n"
        "async def main():\n"
        "    store = ControlStore.open(sys.argv[1])\n"
        "    who = await store.authenticate(sys.argv[2])\n"
        "    names = [f'{sys.argv[3]}-{n:04d}-x' for n in range(50)]\n"
        "    fields = dict(team='', project='p', run='r', rank=0, resume=Resume.ALLOW)\n"
        "    ask = lambda w: store.bind_stream(who, writer_id=w, **fields)\n"
        "    print(*[(await b).epoch for b in map(ask, names)])\n"
        "asyncio.run(main())"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script, url, key, f"proc{n}"], stdout=subprocess.PIPE, text=True)
        for n in range(3)
    ]
    epochs = [int(word) for process in processes for word in process.communicate(timeout=60)[0].split()]
    assert sorted(epochs) == list(range(1, 151))
    await store.close()


def test_a_bad_database_url_is_named() -> None:
    with pytest.raises(ConfigError, match="RUNSTREAM_CONTROL_URL"):
        ControlStore.open("not a url")


def test_the_key_command_makes_lists_and_revokes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path / 'control.db'}"
    base = ["--control-url", url]
    assert key_command([*base, "list"]) == 1
    assert "run `runstream migrate`" in capsys.readouterr().err
    asyncio.run(ControlStore.open(url).migrate())
    assert key_command([*base, "create", "--team", "acme", "--user", "ann"]) == 0
    key = capsys.readouterr().out.strip()
    assert key_command([*base, "list"]) == 0
    listed = capsys.readouterr().out
    assert key[:15] in listed and key not in listed
    assert key_command([*base, "revoke", key[:15]]) == 0
    assert key_command([*base, "revoke", "rs_000000000000"]) == 1
    assert "Traceback" not in capsys.readouterr().err


async def test_a_database_of_version_1_is_brought_to_the_present_one(store: ControlStore) -> None:
    principal = await someone(store)
    await bind(store, principal, "writer-00001")
    with store._engine.begin() as connection:
        connection.execute(text("ALTER TABLE projects DROP COLUMN retention_days"))
        connection.execute(text("ALTER TABLE projects DROP COLUMN description"))
        connection.execute(text("ALTER TABLE runs DROP COLUMN deleted_epoch"))
        for column in ("name", "made_by", "revoked_us"):
            connection.execute(text(f"ALTER TABLE api_keys DROP COLUMN {column}"))
        for table in (*sweep_tables.ALL, *saved_tables.ALL):
            connection.execute(text(f"DROP TABLE {table.name}"))
        connection.execute(text("UPDATE schema_version SET version = 1"))
    with pytest.raises(ControlUnavailableError, match="runstream migrate"):
        await store.check_schema()
    assert await store.migrate() == 1
    await store.check_schema()
    assert (await bind(store, principal, "writer-00002")).epoch == 2
    assert await SweepStore.beside(store).sweep("none") is None


async def test_who_only_reads_of_sweeps_does_not_wait_for_a_writer(store: ControlStore) -> None:
    sweeps = SweepStore.beside(store)
    with store._engine.begin() as writing:
        writing.execute(text("UPDATE schema_version SET version = version"))
        async with asyncio.timeout(10):
            assert await sweeps.sweep("none") is None and await sweeps.agents_named(["none"]) == {}


async def test_a_project_is_deleted_with_its_sweeps(store: ControlStore) -> None:
    principal = await someone(store, role=Role.ADMIN)
    sweeps = SweepStore.beside(store)
    texts = dict.fromkeys(("name", "description", "definition", "size"), "")
    columns = {**texts, "method": "random", "notes": "[]", "seed": 1, "size_is_limit": False, "retries": 0}
    gone = await sweeps.create("acme", "p", "ann", "", columns)
    kept = await sweeps.create("acme", "q", "ann", "", columns)
    fields = {"host": "", "lease_s": 60, "failure_limit": 3, "failure_window_s": 60, "guard_off": False}
    (agent,) = await sweeps.register(gone.id, [Registration("ann", "a", fields)]) or ()
    await store.delete_project(principal, team="acme", project="p")
    assert await sweeps.sweep(gone.id) is None and await sweeps.agents_named([agent.id]) == {}
    assert await sweeps.sweep(kept.id) is not None


async def test_a_deleted_run_sends_its_streams_away_and_a_later_attempt_begins_anew(
    store: ControlStore,
) -> None:
    principal = await someone(store)
    first = await bind(store, principal, "writer-00001")
    assert await store.delete_runs(principal, team="acme", project="p", runs=["r"]) == [DeletedRun("r", 1)]
    with pytest.raises(RunDeletedError, match="was deleted"):
        await bind(store, principal, "writer-00001")
    with pytest.raises(RunDeletedError):
        await store.check_living(team="acme", project="p", run="r", epoch=first.epoch)
    with pytest.raises(RunMissingError):
        await bind(store, principal, "writer-00002", resume=Resume.MUST)
    again = await bind(store, principal, "writer-00002", resume=Resume.NEVER)
    assert again.new_run and again.epoch == 2 and again.run_created_us > first.run_created_us
    await store.check_living(team="acme", project="p", run="r", epoch=2)
    with pytest.raises(NotFoundError, match="never-was"):
        await store.delete_runs(principal, team="acme", project="p", runs=["never-was"])


async def test_who_may_delete(store: ControlStore) -> None:
    principal = await someone(store, role=Role.ADMIN)
    await bind(store, principal, "writer-00001")
    viewer = Principal("v", "rs_x", "acme", {"acme": Role.VIEWER})
    member = Principal("m", "rs_y", "acme", {"acme": Role.MEMBER})
    with pytest.raises(PermissionDeniedError):
        await store.delete_runs(viewer, team="acme", project="p", runs=["r"])
    for outsider in (viewer, member):
        with pytest.raises(PermissionDeniedError, match="admin"):
            await store.delete_project(outsider, team="acme", project="p")
        with pytest.raises(PermissionDeniedError, match="admin"):
            await store.set_retention(outsider, team="acme", project="p", days=1)
    assert await store.set_retention(principal, team="acme", project="p", days=30) == 0
    assert [row.retention_days for row in await store.projects_with_retention()] == [30]
    await store.expire_runs("acme", "p", [DeletedRun("r", 1)])
    with pytest.raises(RunDeletedError):
        await bind(store, principal, "writer-00001")
