"""A store for each test, on a clock that only the test moves, on both engines."""

from __future__ import annotations

import shutil

import pytest
from support.postgres import server
from support.stores import LIMITS, FakeTime, fake_random

from medsr.jobs.store import DATABASE, close_store, open_store
from medsr.jobs.tables import METADATA
from medsr.resources.failpoints import failpoint

ENGINES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def postgres():
    """A server that lives as long as the session."""
    with server() as running:
        yield running


@pytest.fixture(scope="session")
def migrated(postgres, tmp_path_factory):
    """A database with the schema, emptied before each test."""
    postgres.command("CREATE DATABASE medsr")
    close_store(open_store(tmp_path_factory.mktemp("migrated"), url=postgres.url("medsr"), limits=LIMITS))
    return postgres


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory):
    """A migrated SQLite file to copy: the migration has tests of its own."""
    folder = tmp_path_factory.mktemp("empty")
    close_store(open_store(folder, limits=LIMITS))
    return folder / DATABASE


@pytest.fixture(params=ENGINES)
def url(request):
    """None for SQLite, else the URL of an empty database."""
    if request.param == "sqlite":
        return None
    server = request.getfixturevalue("migrated")
    names = ", ".join(table.name for table in METADATA.sorted_tables)
    # The audit's own trigger would refuse to be emptied.
    first = "INSERT INTO audit_head VALUES (1, 0, repeat('0', 64))"
    statements = ["SET session_replication_role = replica", f"TRUNCATE {names}", first]
    server.command("; ".join(statements), database="medsr")
    return server.url("medsr")


@pytest.fixture
def folder(tmp_path, empty_sqlite):
    """A folder with an empty store."""
    made = tmp_path / "store"
    made.mkdir()
    shutil.copy(empty_sqlite, made / DATABASE)
    return made


@pytest.fixture
def time():
    """Both clocks of the store."""
    return FakeTime()


@pytest.fixture
def store(folder, time, url):
    """A fresh store on each engine."""
    made = open_store(folder, url=url, limits=LIMITS, clock=time.clock, random=fake_random())
    yield made
    close_store(made)


@pytest.fixture
def sqlite_store(folder, time):
    """A fresh store on SQLite, for what only an embedded file can suffer."""
    made = open_store(folder, limits=LIMITS, clock=time.clock, random=fake_random())
    yield made
    close_store(made)


@pytest.fixture(autouse=True)
def _own_signing_key(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture(autouse=True)
def _passes_counted_anew(monkeypatch):
    monkeypatch.delenv("MEDSR_FAIL", raising=False)
    failpoint("none")
