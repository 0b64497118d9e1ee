"""`/clickhouse/` of a stack, over plain HTTP and by clickhouse-connect."""

from __future__ import annotations

import base64
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import clickhouse_connect

from tests.support.stack import ServiceStack


class Front:
    """`/clickhouse/` of a stack."""

    def __init__(self, stack: ServiceStack) -> None:
        self.stack = stack
        self.host, _, self.port = stack.address("http").partition(":")

    def post(
        self, sql: str | bytes, key: str | None = None, headers: dict[str, str] | None = None, **query: str
    ) -> Any:
        url = f"http://{self.host}:{self.port}/clickhouse/?{urllib.parse.urlencode(query)}"
        secret = base64.b64encode(f"x:{self.stack.key if key is None else key}".encode()).decode()
        body = sql if isinstance(sql, bytes) else sql.encode("utf-8", "surrogatepass")
        request = urllib.request.Request(url, body, {"authorization": f"Basic {secret}", **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, response.read(), dict(response.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read(), dict(error.headers)

    def client(self, **options: Any) -> Any:
        return clickhouse_connect.get_client(
            host=self.host,
            port=int(self.port),
            username="any",
            password=self.stack.key,
            proxy_path="clickhouse",
            **options,
        )
