"""Object storage that speaks S3 (moto's), as a process with a bucket."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request

from tests.support.processes import free_port, wait_for

BUCKET = "media-bucket"


class S3Server:
    """Keeps its objects in memory: to be away and come back it is stopped (SIGSTOP), or reached through a proxy."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> S3Server:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self._make_bucket, "the S3 server")
        return self

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def environment(self, endpoint: str = "") -> dict[str, str]:
        """Of a process that uses it. `endpoint`: of a proxy in front of it."""
        return {
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def _make_bucket(self) -> bool:
        try:
            request = urllib.request.Request(f"{self.endpoint}/{BUCKET}", method="PUT")
            with urllib.request.urlopen(request, timeout=2) as response:
                return bool(response.status == 200)
        except OSError:
            return False
