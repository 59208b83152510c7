"""Rows of stored files. A row says `kept` only of a file that is there; one that is purged keeps its hash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from medsr.errors import IntegrityError
from medsr.jobs.files import Kept, has_file
from medsr.jobs.store import Store
from medsr.jobs.tables import artefact

__all__ = ["ArtefactState", "insert_if_new", "keep_artefact"]

ArtefactState = Literal["kept", "purging", "purged"]
"""`purging` is decided, but the file may still be there."""


def keep_artefact(connection: Connection, store: Store, kept: Kept) -> None:
    """Note a durable file inside the deed's transaction.

    The name is looked for after the row is held: a purge removes a file while it holds the same row.

    Raises
    ------
    IntegrityError : ``store.hash``, if the file is not there.
    """
    now = store.now()
    row = {"sha256": kept.sha256, "bytes": kept.bytes, "state": "kept", "created": now}
    insert_if_new(connection, artefact, row)
    held = sa.select(artefact.c.state).where(artefact.c.sha256 == kept.sha256).with_for_update()
    if connection.execute(held).scalar_one() != "kept":
        connection.execute(
            sa.update(artefact).where(artefact.c.sha256 == kept.sha256).values(state="kept", created=now)
        )
    if not has_file(store.files, kept.sha256):
        raise IntegrityError("store.hash", f"file {kept.sha256[:12]} is not in the store")


def insert_if_new(connection: Connection, table: sa.Table, row: Mapping[str, object]) -> bool:
    """Insert a row unless its key is there; two writers at once are one insert and no error. True if it was new."""
    kind = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    insert: sa.Executable = kind(table).values(dict(row)).on_conflict_do_nothing().returning(sa.literal_column("1"))
    return connection.execute(insert).one_or_none() is not None
