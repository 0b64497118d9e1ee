"""`runstream up` as its user runs it: killed in the middle of training and started again, stopped with Ctrl-C,
asked by curl, examined by `runstream doctor`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runstream.api import Api, NotFoundError
from runstream_deploy.addresses import Addresses
from tests.support.clickhouse import PASSWORD, EmbeddedClickHouse
from tests.support.kafka import KafkaCluster
from tests.support.processes import Service, answers, free_port, tail, wait_for
from tests.support.stack import clean_environment

LOGGER = Path(__file__).with_name("log_points.py")
STEADY = Path(__file__).with_name("log_steadily.py")


class Up:
    """`runstream up --data DIR --ports ...`, in a folder with modules of the names that the services import."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.data = folder / "data"
        self.log = folder / "up.log"
        environment = {**clean_environment(), "PYTHONUNBUFFERED": "1"}
        self.command = ["up", "--data", str(self.data), *_ports(), *options]
        self.service = Service("runstream.cli", self.log, environment, *self.command, cwd=hostile_folder(folder))

    def start(self) -> Addresses:
        before = self.log.read_text().count("runstream is up") if self.log.exists() else 0
        self.service.start()

        def up() -> bool:
            assert self.service.running(), tail(self.log)
            return self.log.exists() and self.log.read_text().count("runstream is up") > before

        wait_for(up, "runstream up")
        addresses = Addresses.load(self.data)
        assert addresses is not None
        return addresses

    def sdk_environment(self, addresses: Addresses, spool: Path) -> dict[str, str]:
        return {
            "RUNSTREAM_BASE_URL": f"http://{addresses.http}",
            "RUNSTREAM_GATEWAY": addresses.gateway,
            "RUNSTREAM_QUERY_GRPC": addresses.grpc,
            "RUNSTREAM_API_KEY": (self.data / "api-key").read_text().strip(),
            "RUNSTREAM_DIR": str(spool),
            "RUNSTREAM_SILENT": "true",
            "RUNSTREAM_SYSTEM_METRICS": "false",
            "RUNSTREAM_CONSOLE": "off",
        }


def hostile_folder(parent: Path) -> Path:
    """Whoever imports from it dies."""
    folder = parent / "project"
    folder.mkdir(exist_ok=True)
    for name in ("rich", "json", "grpc", "psutil", "sqlite3", "chdb", "uvicorn"):
        (folder / f"{name}.py").write_text("raise SystemExit(f'imported from the current folder: {__file__}')\n")
    return folder


def _ports() -> list[str]:
    """Seven free ports, the same at each start: what `--ports` takes."""
    return ["--ports", ",".join(str(free_port()) for _ in range(7))]


@pytest.mark.timeout(300)
def test_killed_in_mid_training_and_started_again_it_ends_with_all_points_stored_once(
    up: Up, started: Callable[..., subprocess.Popen[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = up.start()
    spool, killed = tmp_path / "spool", tmp_path / "killed"
    environment = {**clean_environment(), **up.sdk_environment(addresses, spool)}
    trainers = [
        started(
            [sys.executable, str(STEADY), str(rank), "4", "500", str(killed)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(4)
    ]
    for name, value in up.sdk_environment(addresses, spool).items():
        monkeypatch.setenv(name, value)
    api = Api()
    wait_for(lambda: _stored(api) > 500, "the first points")
    up.service.kill()
    assert all(trainer.poll() is None for trainer in trainers), "training goes on"
    killed.touch()
    up.start()
    steps = []
    for trainer in trainers:
        printed, errors = trainer.communicate(timeout=120)
        assert trainer.returncode == 0, errors
        assert "Traceback" not in errors
        steps.append(int(printed))
    run = Api().run("steady/steady")
    complete = run.completeness
    assert complete["verdict"] == "complete", complete
    assert complete["points_logged"] == complete["points_stored"] == sum(steps) * 3
    for series in run.series(["value"]):
        assert list(series.steps) == list(range(steps[series.rank]))
        assert list(series.values) == [series.rank * 1_000_000 + step for step in range(steps[series.rank])]
    assert up.service.stop() == 0
    assert "everything acked is on disk" in up.log.read_text()


@pytest.mark.timeout(300)
def test_ctrl_c_stops_it_cleanly_and_a_restart_has_the_data(
    up: Up, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    up.data.mkdir(mode=0o755)
    (up.data / "control.db").touch(mode=0o644)
    addresses = up.start()
    check_private(up)
    environment = {**clean_environment(), **up.sdk_environment(addresses, tmp_path / "spool")}
    subprocess.run([sys.executable, str(LOGGER), "0", "1", "5", "200", "kept"], env=environment, check=True, timeout=60)
    doctor = [sys.executable, "-m", "runstream.cli", "doctor", "--data", str(up.data)]
    done = subprocess.run(doctor, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0 and "all is well" in done.stdout, done.stdout
    up.service.signal(signal.SIGINT)
    assert up.service.wait_ended() == 0
    assert not answers(f"http://{addresses.clickhouse}/ping"), "nothing is left behind"
    done = subprocess.run(doctor, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1 and "does not answer" in done.stdout and "Traceback" not in done.stderr
    up.start()
    for name, value in up.sdk_environment(addresses, tmp_path / "spool").items():
        monkeypatch.setenv(name, value)
    assert Api().run("million/kept").completeness["points_stored"] == 1000
    request = ["curl", "-sS", "-H", f"authorization: Bearer {os.environ['RUNSTREAM_API_KEY']}"]
    request += [f"http://{addresses.http}/api/v1/ListRuns?project=million"]
    answer = json.loads(subprocess.run(request, capture_output=True, text=True, check=True).stdout)
    assert [run["id"] for run in answer["runs"]] == ["kept"]
    assert up.service.stop() == 0


@pytest.mark.timeout(300)
def test_a_service_that_dies_is_started_again(up: Up) -> None:
    addresses = up.start()
    url = f"http://{addresses.clickhouse}/ping"
    holder = (up.data / "clickhouse" / "engine.lock").read_text().strip()
    os.kill(int(holder), signal.SIGKILL)
    wait_for(lambda: (up.data / "clickhouse" / "engine.lock").read_text().strip() not in ("", holder), "a restart")
    wait_for(lambda: answers(url), url)
    assert "starting it again" in up.log.read_text()
    assert up.service.stop() == 0


@pytest.mark.timeout(300)
def test_with_kafka_and_a_clickhouse_of_its_own_the_road_is_the_same(
    tmp_path: Path, kafka: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--kafka` and `--clickhouse`: nothing embedded but the engine that plays the cluster's part."""
    clickhouse = EmbeddedClickHouse(tmp_path / "elsewhere").start()
    up = Up(tmp_path, "--kafka", kafka.bootstrap, "--clickhouse", f"{clickhouse.url}/default")
    monkeypatch.setenv("RUNSTREAM_CLICKHOUSE_PASSWORD", PASSWORD)
    monkeypatch.setenv("RUNSTREAM_KAFKA_TOPIC", "up-topic")
    up.service = Service("runstream.cli", up.log, {**os.environ, "PYTHONUNBUFFERED": "1"}, *up.command)
    addresses = up.start()
    environment = {**clean_environment(), **up.sdk_environment(addresses, tmp_path / "spool")}
    subprocess.run([sys.executable, str(LOGGER), "0", "1", "5", "200", "far"], env=environment, check=True, timeout=60)
    for name, value in up.sdk_environment(addresses, tmp_path / "spool").items():
        monkeypatch.setenv(name, value)
    wait_for(lambda: _stored(Api(), "million/far") == 1000, "1000 stored points")
    assert not (up.data / "clickhouse").exists()
    assert up.service.stop() == 0
    assert clickhouse.service.stop() == 0


def test_a_data_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-m", "runstream.cli", "up", "--data", str(tmp_path / "file" / "data"), "--any-ports"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("runstream up: ") and "Traceback" not in done.stderr


def check_private(up: Up) -> None:
    """What a service prints goes to logs that others read: neither the key nor the link stands there. And what lies in
    its folder is its user's only, though the folder was there before."""
    link = (up.data / "login-link").read_text().strip()
    printed = up.log.read_text() + "".join(path.read_text() for path in (up.data / "logs").iterdir())
    assert link.startswith("http://") and link.partition("#")[2] and str(up.data / "login-link") in printed
    assert link not in printed and link.partition("#")[2] not in printed
    assert (up.data / "api-key").read_text().strip() not in printed
    for path in (up.data, *up.data.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # the engine is at work
            assert path.is_symlink() or not path.stat().st_mode & 0o077, path


def _stored(api: Api, path: str = "steady/steady") -> int:
    try:
        return int(api.run(path).completeness["points_stored"])
    except NotFoundError:
        return 0
