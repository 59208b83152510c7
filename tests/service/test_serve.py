"""`medsr serve` as a site starts it: one command, restarted where it dies, drained where it is told to stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from support.processes import STARTS_S, Service, wait
from support.service_work import tiny_scan
from typer.testing import CliRunner

from medsr.cli.main import app
from medsr.cli.serve import processes
from medsr.errors import UsageError
from medsr.service.run import serve
from medsr.service.settings import ServiceSettings


@pytest.fixture
def service(tmp_path):
    started = Service(tmp_path)
    yield started
    started.process.kill()
    started.process.wait()


@pytest.mark.slow
def test_one_command_serves_survives_its_dead_and_drains(service, tmp_path):
    scan = tiny_scan(tmp_path / "scan.nii.gz").read_bytes()
    _, given = service.call("POST", "/v1/inputs", scan)
    made = service.call("POST", "/v1/jobs", json.dumps({"input": given["sha256"], "task": "denoise"}).encode())[1]

    def ended(identity):
        state = service.call("GET", f"/v1/jobs/{identity}")[1]["state"]
        return state if state in ("released", "review", "rejected") else None

    wait(lambda: ended(made["id"]))
    second = _another_instance(service)
    assert second.returncode == 2
    assert "store.locked" in second.stderr
    first = service.children()
    assert not _maps(first["api"], "libtorch")
    for role in ("worker", "api"):
        os.kill(first[role], signal.SIGKILL)
    body = {"input": given["sha256"], "task": "denoise", "seed": 1, "policy": "research"}
    again = wait(lambda: _post(service, body))
    killed = time.monotonic()
    wait(lambda: ended(again["id"]))
    assert time.monotonic() - killed < STARTS_S
    assert service.children() != first
    began = time.monotonic()
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(40) == 0
    assert time.monotonic() - began < 30
    assert len(service.key.read_text().split()) == 1


def _post(service: Service, body: dict[str, object]) -> dict[str, object] | None:
    try:
        return service.call("POST", "/v1/jobs", json.dumps(body).encode())[1]
    except (urllib.error.URLError, ConnectionError):
        return None


def _another_instance(service: Service) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "medsr.cli.main", "serve", "--store", str(service.store), "--port", "0"]
    return subprocess.run(command, capture_output=True, text=True, timeout=STARTS_S, check=False)


def _maps(process: int, name: str) -> bool:
    return name in Path(f"/proc/{process}/maps").read_text()


def _refused(settings: ServiceSettings) -> str:
    with pytest.raises(UsageError) as caught:
        serve(settings, say=pytest.fail, say_key=pytest.fail)
    assert not settings.store.exists()
    return caught.value.code


def test_an_open_address_is_refused_before_anything_is_made(tmp_path):
    assert _refused(ServiceSettings(store=tmp_path / "store", host="192.0.2.7")) == "serve.open_bind"


def test_a_port_in_use_is_said_at_once(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert _refused(ServiceSettings(store=tmp_path / "store", port=taken.getsockname()[1])) == "serve.port"


def test_a_process_that_is_none_is_named():
    with pytest.raises(UsageError) as caught:
        processes("api,painter")
    assert caught.value.code == "serve.process"
    assert processes(None) == processes("worker, api") == ("api", "worker")


def test_print_config_prints_every_key_and_starts_nothing(tmp_path):
    done = CliRunner().invoke(app, ["serve", "--store", str(tmp_path / "store"), "--print-config"])
    assert done.exit_code == 0
    assert f'store = "{tmp_path / "store"}"' in done.stdout
    assert not (tmp_path / "store").exists()
