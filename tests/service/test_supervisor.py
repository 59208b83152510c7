"""Processes are started again, a silent one is ended, and SIGTERM drains in time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
import json, os, sys
from medsr.service.supervisor import Role, supervise

log = open(sys.argv[1], "a", buffering=1)
roles = []
for name, body, first in json.loads(sys.argv[2]):
    command = [sys.executable, "-c", body, "{pulse}", sys.argv[1]]
    roles.append(Role(name, command, b"given", first=first, silent_s=float(sys.argv[3]), start_s=5.0))
code = supervise(
    roles, environment=dict(os.environ), drain_s=float(sys.argv[4]),
    ready=lambda: print("ready", file=log), on_restart=lambda name, code: print("died", name, code, file=log),
)
print("ended", code, file=log)
"""
HEAD = """
import os, signal, sys, time
pulse, log = int(sys.argv[1]), open(sys.argv[2], "a", buffering=1)
assert sys.stdin.buffer.read() == b"given"
signal.pthread_sigmask(signal.SIG_SETMASK, [])
print("start", os.getpid(), file=log)
os.write(pulse, b".")
"""
LIVES = HEAD + "\nwhile True:\n    os.write(pulse, b'.')\n    time.sleep(0.05)\n"
DIES = HEAD + "\ntime.sleep(0.05)\nos.kill(os.getpid(), signal.SIGSEGV)\n"
HANGS = HEAD + "\nsignal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\ntime.sleep(60)\n"
DEAF = LIVES.replace("while True", "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\nwhile True")
SAYS = (
    HEAD
    + """
def end(*_):
    print("term", sys.argv[3] if len(sys.argv) > 3 else "", time.monotonic(), file=log)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
while True:
    os.write(pulse, b".")
    time.sleep(0.05)
"""
)


@pytest.fixture
def supervised(tmp_path):
    """Start a supervisor over small programs; ends it with the test."""
    import json

    log, running = tmp_path / "log", []
    log.touch()

    def start(*roles: tuple[str, str, bool], silent_s: float = 5.0, drain_s: float = 5.0):
        command = [sys.executable, "-c", PROGRAM, str(log), json.dumps(roles), str(silent_s), str(drain_s)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        running.append(process)
        return process, log

    yield start
    for process in running:
        process.kill()
        process.wait()


def until(log: Path, found, seconds: float = 20.0) -> list[str]:
    """Lines of the log once they hold what is waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        lines = log.read_text().splitlines()
        if found(lines):
            return lines
        time.sleep(0.02)
    pytest.fail(f"not seen in {seconds} s: {log.read_text()}")


def test_a_process_that_dies_is_started_again_with_longer_pauses(supervised):
    began = time.monotonic()
    _, log = supervised(("poison", DIES, False), ("sound", LIVES, False))
    lines = until(log, lambda lines: sum(line.startswith("died poison -11") for line in lines) >= 4)
    assert time.monotonic() - began > 0.1 + 0.2 + 0.4
    assert not any(line.startswith("died sound") for line in lines)
    assert lines.count("ready") == 1


def test_a_silent_process_is_ended_and_started_again(supervised):
    _, log = supervised(("hung", HANGS, False), silent_s=0.5)
    until(log, lambda lines: "died hung -9" in lines and sum(line.startswith("start") for line in lines) >= 2)


def test_f16_a_stopped_process_is_ended_and_started_again(supervised):
    _, log = supervised(("worker", LIVES, False), silent_s=0.5)
    lines = until(log, lambda lines: "ready" in lines)
    os.kill(int(lines[0].split()[1]), signal.SIGSTOP)
    until(log, lambda lines: "died worker -9" in lines)


def test_f22_sigterm_stops_intake_first_and_ends_with_0(supervised):
    process, log = supervised(
        ("worker", SAYS.replace('sys.argv[3] if len(sys.argv) > 3 else ""', '"worker"'), False),
        ("api", SAYS.replace('sys.argv[3] if len(sys.argv) > 3 else ""', '"api"'), True),
    )
    until(log, lambda lines: "ready" in lines)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    lines = log.read_text().splitlines()
    assert {line.split()[1] for line in lines if line.startswith("term")} == {"api", "worker"}
    assert lines[-1] == "ended 0"


def test_f22_what_does_not_end_in_time_is_killed(supervised):
    process, log = supervised(("deaf", DEAF, False), drain_s=0.5)
    lines = until(log, lambda lines: "ready" in lines)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(10)
    assert time.monotonic() - began < 5
    assert log.read_text().splitlines()[-1] == "ended 1"
    assert not Path(f"/proc/{lines[0].split()[1]}").exists()


def test_a_child_dies_with_its_supervisor(supervised):
    body = "from medsr.service.child import die_with\nimport os\ndie_with(os.getppid())\n" + LIVES
    process, log = supervised(("worker", body, False))
    child = int(until(log, lambda lines: "ready" in lines)[0].split()[1])
    process.kill()
    process.wait()
    end = time.monotonic() + 5
    while Path(f"/proc/{child}").exists() and Path(f"/proc/{child}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < end
        time.sleep(0.02)
