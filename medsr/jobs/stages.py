"""What a worker can go on from: restored pixels and evidence, kept by what they were made of, not by job.

A job whose worker died after restoring is only judged again.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import sqlalchemy as sa
from sqlalchemy import Connection

from medsr.errors import IntegrityError, NotFound
from medsr.jobs.artefacts import insert_if_new, keep_artefact
from medsr.jobs.files import chunks_of, keep, open_checked
from medsr.jobs.nouns import Job
from medsr.jobs.store import Row, Store, one, reading, sha256_of, writing
from medsr.jobs.tables import stage
from medsr.resources.failpoints import failpoint

__all__ = ["forget_old", "open_stage", "save_stage"]


def save_stage(store: Store, job: Job, name: str, path: Path) -> None:
    """Keep a file that a restart of this job, or another job of the same make, can go on from.

    Parameters
    ----------
    name : of the stage and file, for instance ``restored.npz``.
    """
    with path.open("rb") as stream:
        kept = keep(store.files, chunks_of(stream))
    failpoint("stage.row")
    with writing(store) as connection:
        keep_artefact(connection, store, kept)
        row = _key(job, name) | {"sha256": kept.sha256, "created": store.now()}
        if not insert_if_new(connection, stage, row):
            connection.execute(sa.update(stage).where(*_is(job, name)).values(row))


def open_stage(store: Store, job: Job, name: str) -> BinaryIO | None:
    """The bytes of a stage, hashed; None if there is none, or if what is there has rotted and must be made again."""
    with reading(store) as connection:
        row = one(connection, sa.select(stage).where(*_is(job, name)))
    if row is None:
        return None
    try:
        return open_checked(store.files, row["sha256"])
    except (NotFound, IntegrityError):
        with writing(store) as connection:
            connection.execute(sa.delete(stage).where(*_is(job, name)))
        return None


def forget_old(connection: Connection, store: Store) -> int:
    """Remove stages older than a day; returns how many. Their files go as unreferenced ones."""
    limit = store.now() - store.limits.unreferenced_s
    return connection.execute(sa.delete(stage).where(stage.c.created < limit)).rowcount


def _key(job: Job, name: str) -> Row:
    """Everything that alters the pixels: bytes, weights, settings and the request itself."""
    made_of = [job.pins.configuration_sha256, job.request.kind, dict(job.request.parameters)]
    return {
        "input_sha256": job.input_sha256, "bundle_sha256": job.pins.bundle_sha256 or "",
        "configuration_sha256": sha256_of([*made_of, job.request.candidate_sha256]), "name": name,
    }  # fmt: skip


def _is(job: Job, name: str) -> list[sa.ColumnElement[bool]]:
    return [stage.c[column] == value for column, value in _key(job, name).items()]
