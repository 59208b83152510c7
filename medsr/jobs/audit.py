"""Who did what to which hashes: append-only, each entry chained to the one before by its hash. Never names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from sqlalchemy import Connection

from medsr.errors import IntegrityError
from medsr.jobs.nouns import Json
from medsr.jobs.store import Row, Store, canonical, many, reading, sha256_of
from medsr.jobs.tables import audit, audit_head
from medsr.resources.failpoints import failpoint

__all__ = ["GENESIS", "AuditDeed", "AuditEntry", "AuditHead", "append", "entries", "head", "verify"]

GENESIS = "0" * 64
_BATCH = 1_000

AuditDeed = Literal[
    "input", "submit", "publish", "block", "fail", "cancel", "supersede", "decide", "purge", "key.add", "key.revoke",
    "backup", "restore",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One deed.

    Parameters
    ----------
    actor : id of a key, ``worker`` or ``system``.
    object : id of a job or key, hash of an input.
    data : hashes, states and reason codes.
    """

    seq: int
    at: float
    actor: str
    deed: str
    object: str
    data: Json
    prev_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class AuditHead:
    """Number and hash of the newest entry. Kept elsewhere it shows a chain that was cut or written anew."""

    seq: int
    hash: str


def append(connection: Connection, store: Store, *, actor: str, deed: AuditDeed, object_id: str, data: Json) -> None:
    """Append inside the deed's transaction: no deed without its entry, no entry without its deed."""
    row = connection.execute(sa.select(audit_head).with_for_update()).mappings().one()
    entry: Row = {
        "seq": row["seq"] + 1, "at": store.now(), "actor": actor, "deed": deed, "object": object_id,
        "data": canonical(dict(data)), "prev_hash": row["hash"],
    }  # fmt: skip
    entry["hash"] = sha256_of(entry)
    failpoint("audit.append")
    connection.execute(sa.insert(audit).values(entry))
    connection.execute(sa.update(audit_head).values(seq=entry["seq"], hash=entry["hash"]))


def head(store: Store) -> AuditHead:
    """The newest entry's number and hash, to be exported."""
    with reading(store) as connection:
        row = connection.execute(sa.select(audit_head)).mappings().one()
    return AuditHead(row["seq"], row["hash"])


def entries(store: Store, *, after: int = 0, limit: int = _BATCH) -> tuple[AuditEntry, ...]:
    """Entries with a number above `after`, in order."""
    wanted = sa.select(audit).where(audit.c.seq > after).order_by(audit.c.seq).limit(limit)
    with reading(store) as connection:
        return tuple(_entry(row) for row in many(connection, wanted))


def verify(store: Store, *, known: AuditHead | None = None) -> AuditHead:
    """Follow the whole chain; returns its head.

    Parameters
    ----------
    known : a head exported earlier, which the chain must pass through.

    Raises
    ------
    IntegrityError : ``audit.chain``, with the number of the first entry that does not fit.
    """
    previous = AuditHead(0, GENESIS)
    passed = known is None or known == previous
    for entry in _all(store):
        body = {
            "seq": entry.seq, "at": entry.at, "actor": entry.actor, "deed": entry.deed, "object": entry.object,
            "data": canonical(dict(entry.data)), "prev_hash": entry.prev_hash,
        }  # fmt: skip
        if entry.seq != previous.seq + 1 or entry.prev_hash != previous.hash or sha256_of(body) != entry.hash:
            raise IntegrityError("audit.chain", f"audit entry {previous.seq + 1} does not follow from the one before")
        previous = AuditHead(entry.seq, entry.hash)
        passed = passed or previous == known
    if previous != head(store):
        raise IntegrityError("audit.chain", f"the audit ends at entry {previous.seq}, its head is another")
    if not passed:
        raise IntegrityError("audit.chain", "the audit does not pass through the exported head")
    return previous


def _all(store: Store) -> Iterator[AuditEntry]:
    last = 0
    while batch := entries(store, after=last):
        yield from batch
        last = batch[-1].seq


def _entry(row: Row) -> AuditEntry:
    return AuditEntry(
        row["seq"], row["at"], row["actor"], row["deed"], row["object"], json.loads(row["data"]), row["prev_hash"],
        row["hash"],
    )  # fmt: skip
