"""One Idempotency-Key, one job: the name is written in the job's own transaction."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from medsr.errors import Conflict, UsageError
from medsr.jobs.nouns import IdempotencyKey
from medsr.jobs.store import Store, one
from medsr.jobs.tables import idempotency

__all__ = ["forget_old", "remember", "replay"]

_LONGEST = 255


def replay(connection: Connection, store: Store, *, owner: str, key: IdempotencyKey) -> str | None:
    """Id of the job that this name made, None for a new name. To be asked in the transaction that then makes it.

    Raises
    ------
    Conflict : ``job.idempotency``, if the name came with another body (HTTP 422).
    UsageError : ``job.idempotency_name``.
    """
    if not 1 <= len(key.name) <= _LONGEST or not key.name.isprintable():
        raise UsageError("job.idempotency_name", f"the key has {len(key.name)} characters")
    if not store.sqlite:
        # Two requests at once would both find no row; they wait for each other here instead.
        lock = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
        connection.execute(lock, {"name": f"{owner}/{key.name}"})
    wanted = sa.select(idempotency).where(idempotency.c.owner == owner, idempotency.c.name == key.name)
    row = one(connection, wanted)
    if row is None:
        return None
    if row["body_sha256"] != key.body_sha256:
        raise Conflict("job.idempotency", "the Idempotency-Key was used with another body")
    return str(row["job"])


def remember(connection: Connection, store: Store, *, owner: str, key: IdempotencyKey, job_id: str) -> None:
    """Write the name beside the job it made."""
    row = {"owner": owner, "name": key.name, "body_sha256": key.body_sha256, "job": job_id, "created": store.now()}
    connection.execute(sa.insert(idempotency).values(row))


def forget_old(connection: Connection, store: Store) -> int:
    """Remove names older than their limit; returns how many."""
    limit = store.now() - store.limits.idempotency_s
    return connection.execute(sa.delete(idempotency).where(idempotency.c.created < limit)).rowcount
