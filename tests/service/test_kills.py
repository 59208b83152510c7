"""F1: kills at every stage and at random lose nothing, publish nothing twice and let nothing unjudged out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.service_work import site, tiny_scan

TORTURE = Path(__file__).resolve().parent.parent / "torture"


def kill(tmp_path: Path, *arguments: str, seconds: float) -> dict[str, object]:
    """Run the lives, then the checker; returns what both printed."""
    ledgers = tmp_path / "ledgers"
    ledgers.mkdir()
    scans = [tiny_scan(tmp_path / f"scan{number}.nii.gz", seed=number) for number in range(2)]
    environment = {
        **os.environ, "MEDSR_MODELS": str(site(tmp_path)), "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    command = [sys.executable, str(TORTURE / "lives.py"), str(tmp_path / "store"), "--ledgers", str(ledgers)]
    given = [part for scan in scans for part in ("--scan", str(scan))]
    lived = subprocess.run(
        [*command, *given, *arguments], env=environment, capture_output=True, timeout=seconds, check=False
    )
    assert lived.returncode == 0, lived.stderr.decode()[-2000:]
    checked = subprocess.run(
        [
            sys.executable, str(TORTURE / "checker.py"), str(tmp_path / "store"), "--settled", "--attempts", "1000",
            *(part for name in ("sent", "received", "kills") for part in (f"--{name}", str(ledgers / f"{name}.jsonl"))),
        ], capture_output=True, timeout=seconds, check=False,
    )  # fmt: skip
    found = json.loads(checked.stdout) | json.loads(lived.stdout.splitlines()[-1])
    assert not any(found["violations"].values()), found["violations"]
    return found


@pytest.mark.slow
def test_f01_twenty_kills_at_every_stage(tmp_path):
    found = kill(tmp_path, "--kills", "20", "--jobs", "2", "--every-stage", seconds=240)
    assert found["kills"] == 20
    stages = {place.split()[1].split(".")[0] for place in found["places"]}
    assert stages >= {"submit", "claim", "work", "stage", "publish", "decide"}


@pytest.mark.torture
def test_f01_two_hundred_kills(tmp_path):
    found = kill(tmp_path, "--kills", "300", "--jobs", "20", "--each", "3", "--seed", "7", seconds=3000)
    assert found["kills"] == 300
