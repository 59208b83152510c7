"""A store for each test, on a clock that only the test moves."""

from __future__ import annotations

import pytest
from support.stores import LIMITS, FakeTime, fake_random

from medsr.jobs.store import close_store, open_store


@pytest.fixture
def time():
    """Both clocks of the store."""
    return FakeTime()


@pytest.fixture
def store(tmp_path, time):
    """A fresh store."""
    made = open_store(tmp_path / "store", limits=LIMITS, clock=time.clock, random=fake_random())
    yield made
    close_store(made)


@pytest.fixture(autouse=True)
def _own_signing_key(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
