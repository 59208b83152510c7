"""Fail-points act when planned, at the pass that is named, and are listed from the code."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys

import pytest

from medsr.errors import UsageError
from medsr.resources.failpoints import FailpointError, failpoint, failpoints


def test_the_nth_pass_acts_and_no_other(monkeypatch):
    monkeypatch.delenv("MEDSR_FAIL", raising=False)
    failpoint("x.y")
    monkeypatch.setenv("MEDSR_FAIL", "x.y:2:raise,full.disk:0:enospc")
    failpoint("x.y")
    failpoint("other")
    with pytest.raises(FailpointError):
        failpoint("x.y")
    failpoint("x.y")
    for _ in range(2):
        with pytest.raises(OSError, match="No space left") as caught:
            failpoint("full.disk")
        assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize("plan", ["x", "x:1", "x:one:kill", "x:1:explode", "x:1:delay=soon"])
def test_a_plan_that_cannot_be_read_is_refused(monkeypatch, plan):
    monkeypatch.setenv("MEDSR_FAIL", plan)
    with pytest.raises(UsageError, match=r"failpoint.plan"):
        failpoint("x")


def test_kill_is_sigkill():
    code = "from medsr.resources.failpoints import failpoint; failpoint('a.b')"
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path), "MEDSR_FAIL": "a.b:1:kill"}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=environment).returncode == -signal.SIGKILL


def test_the_list_is_read_from_the_code(tmp_path):
    (tmp_path / "room.py").write_text('failpoint("a.b")\nfailpoint("c.d")\n')
    assert failpoints(tmp_path) == {"a.b": f"{tmp_path.name}/room.py:1", "c.d": f"{tmp_path.name}/room.py:2"}
    assert {"file.rename", "publish.commit", "decide.commit", "purge.unlink", "migrate.commit", "backup.rename"} <= set(
        failpoints()
    )
