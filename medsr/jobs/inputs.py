"""What was uploaded: bytes under their hash, and whose they are. Nothing here parses them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy import Connection

from medsr.errors import NotFound
from medsr.jobs import audit
from medsr.jobs.artefacts import insert_if_new, keep_artefact
from medsr.jobs.files import Kept
from medsr.jobs.store import Store, one, reading, writing
from medsr.jobs.tables import artefact, input_
from medsr.resources.failpoints import failpoint

__all__ = ["Input", "add_input", "input_of", "require_input", "set_study"]


@dataclass(frozen=True, slots=True)
class Input:
    """An upload.

    Parameters
    ----------
    kind : what the sender called it: ``nifti``, ``dicom``, ``zip``; the reader finds out.
    known : whether this owner had sent the same bytes before.
    """

    sha256: str
    owner: str
    kind: str
    bytes: int
    created: float
    known: bool = True


def add_input(store: Store, kept: Kept, *, owner: str, kind: str, actor: str | None = None) -> Input:
    """Note an upload that `files.receiving` or `files.keep` made durable; the caller acknowledges after this returns.

    Parameters
    ----------
    actor : id of the key that sent it, for the audit; the owner unless given.

    Raises
    ------
    IntegrityError : ``store.hash``, if the file is not in the store: rows are written after their files.
    """
    failpoint("input.row")
    now = store.now()
    with writing(store) as connection:
        keep_artefact(connection, store, kept)
        row = {"sha256": kept.sha256, "owner": owner, "kind": kind, "created": now}
        new = insert_if_new(connection, input_, row)
        if new:
            data = {"bytes": kept.bytes, "kind": kind}
            audit.append(connection, store, actor=actor or owner, deed="input", object_id=kept.sha256, data=data)
        found = require_input(connection, kept.sha256, owner)
    failpoint("input.ack")
    return replace(found, known=not new)


def input_of(store: Store, sha256: str, *, owner: str) -> Input:
    """An owner's upload.

    Raises
    ------
    NotFound : ``input.none``; a foreign one is not there either.
    """
    with reading(store) as connection:
        return require_input(connection, sha256, owner)


def require_input(connection: Connection, sha256: str, owner: str) -> Input:
    """`input_of` inside a transaction."""
    found = _select(connection, sha256, owner)
    if found is None:
        raise NotFound("input.none", "there is no such input, or its bytes were purged")
    return found


def set_study(store: Store, sha256: str, study_uid: str) -> None:
    """Note the study that an input belongs to, as a hash, so that a patient's data can be found and purged."""
    study = hashlib.sha256(study_uid.strip().encode()).hexdigest()
    with writing(store) as connection:
        connection.execute(sa.update(input_).where(input_.c.sha256 == sha256).values(study_sha256=study))


def _select(connection: Connection, sha256: str, owner: str) -> Input | None:
    joined = input_.join(artefact, artefact.c.sha256 == input_.c.sha256)
    wanted = (
        sa.select(input_, artefact.c.bytes)
        .select_from(joined)
        .where(input_.c.sha256 == sha256, input_.c.owner == owner, artefact.c.state == "kept")
    )
    row = one(connection, wanted)
    if row is None:
        return None
    return Input(row["sha256"], row["owner"], row["kind"], row["bytes"], row["created"])
