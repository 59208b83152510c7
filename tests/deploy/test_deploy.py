"""What is shipped for deployment parses, is locked down, and starts."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"

pytestmark = pytest.mark.skipif(not DEPLOY.is_dir(), reason="tools/ is not beside the tests")


def test_configuration_page_is_what_the_code_says() -> None:
    from medsr.service.reference import document

    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == document()


def test_image_runs_without_root_or_compiler_and_says_how_it_is() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    steps = re.sub(r"\\\n", " ", text).splitlines()
    deeds = [step.split(maxsplit=1) for step in steps if step and not step.startswith((" ", "#"))]
    bases = [words for deed, words in deeds if deed == "FROM"]
    assert all(":" in base and ":latest" not in base for base in bases)
    last = deeds[max(place for place, (deed, _) in enumerate(deeds) if deed == "FROM") :]
    names = [deed for deed, _ in last]
    user = next(words for deed, words in last if deed == "USER")
    assert user.split(":")[0].isdigit()
    assert int(user.split(":")[0]) > 0
    assert "HEALTHCHECK" in names
    assert "ADD" not in names
    assert not re.search(r"(PASSWORD|SECRET|TOKEN|KEY)=", text)
    assert "gcc" not in text


def test_compose_gives_the_service_no_rights() -> None:
    found = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    service = found["services"]["medsr"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert "ports" not in found["services"]["database"]
    assert service["build"]["dockerfile"] == "deploy/Dockerfile"
    assert set(found["volumes"]) == {"store", "database"}
    assert "PASSWORD:" not in (DEPLOY / "compose.yaml").read_text(encoding="utf-8")


def test_compose_names_settings_that_exist() -> None:
    from medsr.service.settings import ServiceSettings

    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8") + (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    named = {name.lower() for name in re.findall(r"MEDSR_([A-Z_]+)", text)}
    assert named <= set(ServiceSettings.model_fields)


def test_alerts_name_figures_that_the_service_gives() -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus-rules.yaml").read_text(encoding="utf-8"))
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "medsr" / "service").rglob("*.py"))
    given = set(re.findall(r'"(medsr_[a-z_]+)"', source))
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        named = {name.removesuffix("_total") for name in re.findall(r"\bmedsr_[a-z_]+", rule["expr"])}
        assert named <= given, rule["alert"]
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("page", "warning")


def unit() -> configparser.SectionProxy:
    found = configparser.RawConfigParser(strict=False)
    found.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's keys have case
    found.read(DEPLOY / "systemd" / "medsr.service", encoding="utf-8")
    return found["Service"]


def test_unit_is_sandboxed() -> None:
    service = unit()
    for name in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectKernelTunables", "LockPersonality"):
        assert service[name] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    assert service["User"] not in ("", "root")


def test_systemd_accepts_the_unit(program, tmp_path: Path) -> None:
    text = (DEPLOY / "systemd" / "medsr.service").read_text(encoding="utf-8")
    # The program and its user are not on this machine; all else is systemd's to judge.
    text = text.replace("/opt/medsr/bin/medsr", "/bin/true").replace("User=medsr", "User=daemon")
    copy = tmp_path / "medsr.service"
    copy.write_text(text.replace("Group=medsr\n", ""), encoding="utf-8")
    done = subprocess.run(
        [program("systemd-analyze"), "verify", str(copy)], check=False, capture_output=True, text=True, timeout=30
    )
    told = [line for line in done.stderr.splitlines() if "medsr.service" in line]
    assert told == [], done.stderr


@pytest.mark.slow
def test_what_the_unit_starts_answers_and_stops_when_told(tmp_path: Path) -> None:
    command = shlex.split(unit()["ExecStart"])
    assert Path(command[0]).name == "medsr"
    with socket.create_server(("127.0.0.1", 0)) as line:
        port = line.getsockname()[1]
    known = {name: value for name, value in os.environ.items() if not name.startswith("MEDSR_")}
    stated = {
        "MEDSR_STORE": str(tmp_path / "store"), "MEDSR_PORT": str(port), "MEDSR_WORKERS": "1",
        "MEDSR_MIN_FREE_BYTES": "0", "MEDSR_MIN_FREE_FRACTION": "0", "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    runner = "import sys; from medsr.cli.main import main; sys.argv[0] = 'medsr'; main()"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", runner, *command[1:]], env=known | stated, stdout=log, stderr=log
        )
        try:
            assert answers(port, process), (tmp_path / "log").read_text(errors="replace")[-2000:]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/review/login", timeout=10) as page:
                assert b"Sign in" in page.read()
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(45) == 0


def answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as told:
                return bool(told.status == 200)
        except OSError:
            time.sleep(0.2)
    return False
