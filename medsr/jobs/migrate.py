"""Schema versions: Alembic, run by the program, so that nobody needs its command line."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from medsr.errors import UsageError
from medsr.jobs.store import Store, reading, writing
from medsr.resources.failpoints import failpoint

__all__ = ["check_schema", "migrate", "schema_version"]

_ADVISORY = 0x6D656473  # one migration at a time on PostgreSQL, where several instances may start together


def migrate(store: Store) -> None:
    """Bring the schema to the newest version in one transaction; a kill leaves the old one or the new one.

    Raises
    ------
    UsageError : ``store.schema``, if the store was written by a newer medsr.
    """
    with reading(store) as connection:
        if _version(connection) == _head():
            return
    with writing(store) as connection:
        if not store.sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY})
        _refuse_newer(connection)
        failpoint("migrate.begin")
        configuration = _configuration()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "head")
        failpoint("migrate.commit")


def schema_version(store: Store) -> str | None:
    """Revision that the store has; None before the first migration."""
    with reading(store) as connection:
        return _version(connection)


def check_schema(store: Store) -> None:
    """Hold that the store has the schema of this medsr.

    Raises
    ------
    UsageError : ``store.schema``.
    """
    found = schema_version(store)
    if found != _head():
        raise UsageError("store.schema", f"the store has schema {found}, this medsr needs {_head()}")


def _refuse_newer(connection: Connection) -> None:
    found = _version(connection)
    known = {script.revision for script in ScriptDirectory.from_config(_configuration()).walk_revisions()}
    if found is not None and found not in known:
        raise UsageError("store.schema", f"the store has schema {found}, which this medsr does not know")


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _head() -> str | None:
    return ScriptDirectory.from_config(_configuration()).get_current_head()


def _configuration() -> Config:
    configuration = Config()
    folder = str(Path(__file__).resolve().parent / "migrations")
    configuration.set_main_option("script_location", folder.replace("%", "%%"))
    configuration.set_main_option("path_separator", "os")
    return configuration
