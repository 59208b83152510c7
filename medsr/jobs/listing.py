"""Jobs as lists, one by one and in figures. Owners see their own; None is an administrator's or a reader's view."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from medsr.errors import NotFound, UsageError
from medsr.jobs.nouns import Job
from medsr.jobs.rows import as_job
from medsr.jobs.states import COMPUTING, STATES, JobState
from medsr.jobs.store import Store, many, one, reading
from medsr.jobs.tables import job as jobs_table

__all__ = ["Page", "counts", "job", "jobs", "oldest_queued_s", "queue_position", "running", "typical_s"]

MOST = 200


@dataclass(frozen=True, slots=True)
class Page:
    """Some jobs, newest first, and the cursor of those after them (None at the end)."""

    items: tuple[Job, ...]
    next: str | None


def job(store: Store, job_id: str, *, owner: str | None = None) -> Job:
    """One job.

    Raises
    ------
    NotFound : ``job.none``; a foreign job is not there either.
    IntegrityError : ``store.row``, if the row is not what was written.
    """
    wanted = sa.select(jobs_table).where(jobs_table.c.id == job_id)
    if owner is not None:
        wanted = wanted.where(jobs_table.c.owner == owner)
    with reading(store) as connection:
        row = one(connection, wanted)
    if row is None:
        raise NotFound("job.none", "there is no such job")
    return as_job(row)


def jobs(
    store: Store,
    *,
    owner: str | None = None,
    states: Sequence[JobState] = (),
    cursor: str | None = None,
    limit: int = 50,
) -> Page:
    """A page of jobs, newest first; keyset, so that the last page costs what the first does.

    Parameters
    ----------
    states : only these; all if empty.
    cursor : `Page.next` of the page before.
    limit : 1 to 200.

    Raises
    ------
    UsageError : ``job.cursor``, ``job.limit``.
    """
    if not 1 <= limit <= MOST:
        raise UsageError("job.limit", f"{limit} jobs a page are not 1 to {MOST}")
    table = jobs_table
    wanted = sa.select(table).order_by(table.c.created.desc(), table.c.id.desc()).limit(limit + 1)
    if owner is not None:
        wanted = wanted.where(table.c.owner == owner)
    if states:
        wanted = wanted.where(table.c.state.in_(tuple(states)))
    if cursor is not None:
        created, last = _read_cursor(cursor)
        wanted = wanted.where(sa.tuple_(table.c.created, table.c.id) < sa.tuple_(created, last))
    with reading(store) as connection:
        rows = many(connection, wanted)
    items = tuple(as_job(row) for row in rows[:limit])
    return Page(items, _cursor(items[-1]) if len(rows) > limit else None)


def queue_position(store: Store, asked: Job) -> int | None:
    """1 for the job that is claimed next; None if it does not wait."""
    if asked.state != "queued":
        return None
    table = jobs_table
    earlier = sa.or_(
        table.c.priority > asked.priority,
        sa.and_(
            table.c.priority == asked.priority,
            sa.tuple_(table.c.created, table.c.id) < sa.tuple_(sa.literal(asked.created), sa.literal(asked.id)),
        ),
    )
    wanted = sa.select(sa.func.count()).select_from(table).where(table.c.state == "queued", earlier)
    with reading(store) as connection:
        return int(connection.execute(wanted).scalar_one()) + 1


def counts(store: Store, *, owner: str | None = None) -> Mapping[JobState, int]:
    """How many jobs are in each state; states without a job count 0."""
    wanted = sa.select(jobs_table.c.state, sa.func.count()).group_by(jobs_table.c.state)
    if owner is not None:
        wanted = wanted.where(jobs_table.c.owner == owner)
    with reading(store) as connection:
        found = {str(state): int(number) for state, number in connection.execute(wanted)}
    return {state: found.get(state, 0) for state in STATES}


def oldest_queued_s(store: Store) -> float:
    """Seconds that the oldest waiting job has waited; 0 with an empty queue."""
    wanted = sa.select(sa.func.min(jobs_table.c.created)).where(jobs_table.c.state == "queued")
    with reading(store) as connection:
        oldest = connection.execute(wanted).scalar_one()
    return 0.0 if oldest is None else max(store.now() - float(oldest), 0.0)


def typical_s(store: Store, *, last: int = 20) -> float | None:
    """Median seconds from first claim to result of the last finished jobs, for an estimate; None without one."""
    table = jobs_table
    wanted = (
        sa.select(table.c.finished - table.c.started)
        .where(table.c.output_sha256.is_not(None), table.c.started.is_not(None), table.c.finished.is_not(None))
        .order_by(table.c.created.desc(), table.c.id.desc())
        .limit(last)
    )
    with reading(store) as connection:
        found = sorted(float(seconds) for (seconds,) in connection.execute(wanted))
    return found[len(found) // 2] if found else None


def running(store: Store) -> tuple[Job, ...]:
    """Jobs that a worker holds, oldest first."""
    wanted = sa.select(jobs_table).where(jobs_table.c.state.in_(COMPUTING)).order_by(jobs_table.c.created)
    with reading(store) as connection:
        return tuple(as_job(row) for row in many(connection, wanted))


def _cursor(last: Job) -> str:
    return base64.urlsafe_b64encode(json.dumps([last.created, last.id]).encode()).decode()


def _read_cursor(text: str) -> tuple[float, str]:
    try:
        found = json.loads(base64.b64decode(text, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        found = None
    match found:
        case [float(created), str(last)]:
            return created, last
        case _:
            raise UsageError("job.cursor", "the cursor is none that a page returned")
