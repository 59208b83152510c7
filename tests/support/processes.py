"""A whole `medsr serve` in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.service_work import site

__all__ = ["STARTS_S", "Service", "wait"]

STARTS_S = 120.0


class Service:
    """A running `medsr serve`, and its key."""

    def __init__(self, tmp_path: Path, *arguments: str) -> None:
        self.store, self.log, self.key = tmp_path / "store", tmp_path / "log", tmp_path / "key"
        environment = {**os.environ, "MEDSR_MODELS": str(site(tmp_path)), "MEDSR_MIN_FREE_BYTES": "0"}
        environment |= {"MEDSR_MIN_FREE_FRACTION": "0", "MEDSR_LEASE_S": "3", "MEDSR_HEARTBEAT_S": "0.5"}
        command = [sys.executable, "-m", "medsr.cli.main", "serve", "--store", str(self.store), "--port", "0"]
        with self.log.open("w") as log, self.key.open("w") as key:
            self.process = subprocess.Popen(
                [*command, "--workers", "1", *arguments], env=environment, stdout=key, stderr=log
            )

    def url(self) -> str:
        """Where it listens, once it does."""
        end = time.monotonic() + STARTS_S
        while time.monotonic() < end and self.process.poll() is None:
            for line in self.log.read_text().splitlines():
                if line.startswith("medsr serves "):
                    return line.split()[2].removesuffix("/review")
            time.sleep(0.1)
        pytest.fail(self.log.read_text()[-2000:])

    def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, object]]:
        """Status and answer of a call with its key."""
        request = urllib.request.Request(self.url() + path, data=body, method=method)  # noqa: S310 -- our own address
        request.add_header("Authorization", f"Bearer {self.key.read_text().strip()}")
        request.add_header("Content-Type", "application/json" if path == "/v1/jobs" else "application/octet-stream")
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 -- as above
            return answer.status, json.loads(answer.read())

    def children(self) -> dict[str, int]:
        """Process ids by role."""
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                words = (path / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"medsr.service.child" in words and str(self.process.pid).encode() in words:
                found[words[3].decode()] = int(path.name)
        return found


def wait(found: Callable[[], Any], seconds: float = STARTS_S) -> Any:
    """What `found` returns, once that is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.2)
    pytest.fail(f"not seen in {seconds} s")
