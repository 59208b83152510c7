"""What is still to be sent. Rows are written in the deed that releases; the DICOM node's sender works them off."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from medsr.jobs.nouns import Job
from medsr.jobs.store import Store
from medsr.jobs.tables import outbox

__all__ = ["enqueue", "waiting"]

OPEN = ("waiting", "sending", "unknown")
"""States in which a file must still be there."""


def enqueue(connection: Connection, store: Store, job: Job, destination: str) -> None:
    """Note a destination inside the deed that released the job."""
    row = {
        "id": store.random.uuid(), "job": job.id, "destination": destination, "output_sha256": job.output_sha256,
        "state": "waiting", "attempts": 0, "next_try": store.now(),
    }  # fmt: skip
    connection.execute(sa.insert(outbox).values(row))


def waiting(connection: Connection, job_id: str) -> int:
    """Destinations that a job's files have not verifiably reached."""
    wanted = sa.select(sa.func.count()).select_from(outbox).where(outbox.c.job == job_id, outbox.c.state.in_(OPEN))
    return int(connection.execute(wanted).scalar_one())
