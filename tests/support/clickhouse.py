"""The embedded ClickHouse as a real process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runstream_common.clickhouse.client import ClickHouseConfig
from tests.support.processes import Service, free_port

PASSWORD = "test-password"


class EmbeddedClickHouse:
    def __init__(self, folder: Path, port: int | None = None, *arguments: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data = folder / "clickhouse"
        self.service = Service(
            "runstream_deploy.embedded",
            folder / "clickhouse.log",
            {"RUNSTREAM_CLICKHOUSE_PASSWORD": PASSWORD},
            "--data",
            str(self.data),
            "--listen",
            f"127.0.0.1:{self.port}",
            *arguments,
        )

    @property
    def config(self) -> ClickHouseConfig:
        return ClickHouseConfig(f"{self.url}/default", password=PASSWORD)

    @property
    def environment(self) -> dict[str, str]:
        return {"RUNSTREAM_CLICKHOUSE_URL": f"{self.url}/default", "RUNSTREAM_CLICKHOUSE_PASSWORD": PASSWORD}

    def start(self) -> EmbeddedClickHouse:
        self.service.start()
        self.service.wait_answering(f"{self.url}/ping")
        return self

    def client(self) -> Any:
        import clickhouse_connect

        return clickhouse_connect.get_client(host="127.0.0.1", port=self.port, password=PASSWORD)
