"""Result files: what may be read by whom, and read only while it hashes to what was published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

import sqlalchemy as sa

from medsr.errors import Conflict, Denied, NotFound
from medsr.jobs.files import open_checked
from medsr.jobs.nouns import Job
from medsr.jobs.states import JUDGED
from medsr.jobs.store import Store, many, reading
from medsr.jobs.tables import artefact, result

__all__ = ["ResultFile", "open_result", "result_file", "result_files"]


@dataclass(frozen=True, slots=True)
class ResultFile:
    """One file of a result.

    Parameters
    ----------
    kind : report, image, sidecar, record, release (the signed decision of a reader), or view (what the page shows).
    kept : False once it was purged; hash and name stay.
    """

    job_id: str
    name: str
    sha256: str
    kind: str
    bytes: int
    kept: bool


def result_files(store: Store, job_id: str) -> tuple[ResultFile, ...]:
    """All files of a job's result, by name. Whether they may be read is `result_file`'s to say."""
    wanted = (
        sa.select(result, artefact.c.state)
        .select_from(result.join(artefact, artefact.c.sha256 == result.c.sha256))
        .where(result.c.job == job_id)
        .order_by(result.c.name)
    )
    with reading(store) as connection:
        rows = many(connection, wanted)
    return tuple(
        ResultFile(row["job"], row["name"], row["sha256"], row["kind"], row["bytes"], row["state"] == "kept")
        for row in rows
    )


def result_file(store: Store, job: Job, name: str, *, reader: bool = False) -> ResultFile:
    """One file of a result, if the state of its job lets it be read.

    Reports of a judged job are free to whom the job is visible; the rest is read after release, or by a reader's key
    while it is held. A purged file is gone whatever the state.

    Parameters
    ----------
    reader : the asker has scope ``review``.

    Raises
    ------
    NotFound : ``result.none``; ``result.gone`` for purged, withdrawn and superseded results (HTTP 410).
    Conflict : ``result.not_released`` (HTTP 409).
    Denied : ``result.rejected`` (HTTP 403).
    """
    if job.state == "purged":
        raise NotFound("result.gone", f"the data of job {job.id[:8]} were purged")
    if job.state not in JUDGED:
        raise Conflict("result.not_released", f"job {job.id[:8]} is {job.state}")
    file = next((file for file in result_files(store, job.id) if file.name == name), None)
    if file is None:
        raise NotFound("result.none", "the result has no such file")
    if not file.kept:
        raise NotFound("result.gone", f"the data of job {job.id[:8]} were purged")
    if file.kind == "view":
        # Drawn by the page alone, slice by slice; whoever wants the pixels takes the image.
        raise NotFound("result.none", "the result has no such file")
    if file.kind == "report" or job.state == "released" or (reader and job.state == "review"):
        return file
    if job.state in ("withdrawn", "superseded"):
        raise NotFound("result.gone", f"the result of job {job.id[:8]} was {job.state}")
    if job.state == "rejected":
        raise Denied("result.rejected", f"the result of job {job.id[:8]} was rejected")
    raise Conflict("result.not_released", f"job {job.id[:8]} is {job.state}")


def open_result(store: Store, job: Job, name: str, *, reader: bool = False) -> tuple[ResultFile, BinaryIO]:
    """`result_file` with its bytes, hashed through the very handle that is returned.

    Raises
    ------
    NotFound, Conflict, Denied : as `result_file`.
    IntegrityError : ``store.rot``: the bytes are not those that were published; nothing of them is sent.
    """
    file = result_file(store, job, name, reader=reader)
    return file, open_checked(store.files, file.sha256)
