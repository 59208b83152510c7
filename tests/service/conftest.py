"""A store and an api over it, for each test."""

from __future__ import annotations

import shutil

import pytest
from support.serving import served
from support.stores import LIMITS, FakeTime, fake_random

from medsr.jobs.store import close_store, open_store


@pytest.fixture(autouse=True)
def _own_signing_key(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def time():
    """Both clocks of the store."""
    return FakeTime()


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """The folder of a store that was made once: migrating and making 256 folders durably takes a second."""
    folder = tmp_path_factory.mktemp("made") / "store"
    close_store(open_store(folder, limits=LIMITS))
    return folder


@pytest.fixture
def store(tmp_path, time, empty_store):
    """A fresh store."""
    shutil.copytree(empty_store, tmp_path / "store")
    made = open_store(tmp_path / "store", limits=LIMITS, clock=time.clock, random=fake_random())
    yield made
    close_store(made)


@pytest.fixture
def api(store):
    """The api over `store`."""
    with served(store) as made:
        yield made
