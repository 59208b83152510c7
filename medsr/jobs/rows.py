"""The job row: to a Job and back, with a hash that shows a changed row, and the one way to change it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import Connection

from medsr.errors import Conflict, IntegrityError, NotFound
from medsr.jobs.nouns import Claim, Job, JobKind, JobRequest, Pins
from medsr.jobs.states import JobState, JobStep, step
from medsr.jobs.store import Row, Store, canonical, one, sha256_of
from medsr.jobs.tables import job

__all__ = ["as_job", "change", "checked", "fenced", "insert_job", "locked", "sealed"]

_UNSEALED = frozenset({"row_hash", "updated", "worker", "lease_epoch", "lease_until", "stage", "fraction"})
"""Columns that a heartbeat changes; a wrong one costs time, never a verdict."""


def sealed(row: Row, *, without: frozenset[str] = _UNSEALED) -> str:
    """Hash of a row: SQLite's own check does not notice a flipped bit inside a value."""
    plain = {name: bool(value) if name == "cancel" else value for name, value in row.items() if name not in without}
    return sha256_of(plain)


def checked(row: Row) -> Row:
    """The row, if it is what was written.

    Raises
    ------
    IntegrityError : ``store.row``.
    """
    if sealed(row) != row["row_hash"]:
        raise IntegrityError("store.row", f"the row of job {str(row['id'])[:8]} is not what was written")
    return row


def as_job(row: Row) -> Job:
    """A job from its row, checked."""
    checked(row)
    return Job(
        id=row["id"], state=cast(JobState, row["state"]), version=row["version"], priority=row["priority"],
        owner=row["owner"], api_key=row["api_key"], created=row["created"], updated=row["updated"],
        started=row["started"], finished=row["finished"],
        request=JobRequest(json.loads(row["request"]), cast(JobKind, row["kind"]), row["candidate_sha256"]),
        input_sha256=row["input_sha256"],
        pins=Pins(
            policy=row["policy"], policy_sha256=row["policy_sha256"],
            configuration_sha256=row["configuration_sha256"], bundle=row["bundle"],
            bundle_sha256=row["bundle_sha256"], calibration_sha256=row["calibration_sha256"],
        ),
        token=row["token"], attempts=row["attempts"], worker=row["worker"], stage=row["stage"],
        fraction=row["fraction"], cancel=bool(row["cancel"]), reason=row["reason"], verdict=row["verdict"],
        label=row["label"] or "", summary=json.loads(row["summary"]) if row["summary"] else {},
        output_sha256=row["output_sha256"], superseded_by=row["superseded_by"],
    )  # fmt: skip


def insert_job(connection: Connection, values: Row) -> Job:
    """Write a new row with its hash."""
    row: Row = {column.name: None for column in job.columns} | dict(values)
    row["row_hash"] = sealed(row)
    connection.execute(sa.insert(job).values(row))
    return as_job(row)


def locked(connection: Connection, job_id: str, *, owner: str | None = None) -> Row:
    """The row of a job, held against other writers until this transaction ends.

    Raises
    ------
    NotFound : ``job.none``; a foreign job is not there either.
    """
    wanted = sa.select(job).where(job.c.id == job_id).with_for_update()
    row = one(connection, wanted)
    if row is None or owner not in (None, row["owner"]):
        raise NotFound("job.none", "there is no such job")
    return checked(row)


def change(
    connection: Connection,
    store: Store,
    row: Row,
    deed: JobStep | None,
    *,
    decided: JobState | None = None,
    **values: Any,
) -> Row:
    """Take a locked row one step on, or without a step change other columns of it.

    Raises
    ------
    TransitionError : ``job.transition``.
    """
    state = row["state"] if deed is None else step(cast(JobState, row["state"]), deed, decided=decided)
    after = _after(store, row, state, values)
    connection.execute(sa.update(job).where(job.c.id == row["id"]).values(_written(after)))
    return after


def fenced(
    connection: Connection,
    store: Store,
    claim: Claim,
    states: tuple[JobState, ...],
    deed: JobStep,
    *,
    decided: JobState | None = None,
    **values: Any,
) -> Row:
    """Take the job of a claim one step on by compare-and-set: only while the claim is its newest.

    Raises
    ------
    Conflict : ``job.lost``: a newer claim, or a step that somebody else took, came first. Drop the work.
    """
    row = locked(connection, claim.job_id)
    after = _after(store, row, step(states[0], deed, decided=decided), values)
    done = connection.execute(
        sa.update(job)
        .where(job.c.id == claim.job_id)
        .where(job.c.token == claim.token)
        .where(job.c.state.in_(states))
        .values(_written(after))
    )
    if done.rowcount != 1:
        raise Conflict("job.lost", f"job {claim.job_id[:8]} is no longer held by claim {claim.token}")
    return after


def _after(store: Store, row: Row, state: str, values: Row) -> Row:
    after = {**row, **values, "state": state, "version": row["version"] + 1, "updated": store.now()}
    if isinstance(after["summary"], Mapping):
        after["summary"] = canonical(dict(after["summary"]))
    after["row_hash"] = sealed(after)
    return after


def _written(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "id"}
