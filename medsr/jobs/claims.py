"""A worker's hold on a job: claimed with a lease and a token, kept by heartbeats, lost without them."""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import Connection

from medsr.errors import Conflict
from medsr.jobs import audit
from medsr.jobs.events import EventKind, append_event
from medsr.jobs.nouns import Claim, Job, Json, Progress
from medsr.jobs.rows import as_job, change, checked, fenced, sealed
from medsr.jobs.states import COMPUTING, JobStep
from medsr.jobs.store import Row, Store, many, one, writing
from medsr.jobs.tables import job
from medsr.resources.failpoints import failpoint

__all__ = ["beat", "block", "cancelled", "claim", "fail", "hand_back", "judging", "note", "reap"]

Beat = Literal["go_on", "cancel", "lost"]


def claim(store: Store, worker: str) -> Claim | None:
    """Take the job that waits longest at the highest priority; None if none waits.

    Parameters
    ----------
    worker : a name for people; the right to the job is the token.
    """
    with writing(store) as connection:
        epoch, now = store.steady(connection)
        waiting = (
            sa.select(job.c.id)
            .where(job.c.state == "queued")
            .order_by(job.c.priority.desc(), job.c.created, job.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        taken = one(
            connection,
            sa.update(job)
            .where(job.c.id == waiting)
            .values(
                state="running", token=job.c.token + 1, attempts=job.c.attempts + 1, version=job.c.version + 1,
                lease_epoch=epoch, lease_until=now + store.limits.lease_s, worker=worker, stage="claimed",
                fraction=0.0, updated=store.now(), started=sa.func.coalesce(job.c.started, store.now()),
            )
            .returning(job.c.id),
        )  # fmt: skip
        if taken is None:
            return None
        # Not from RETURNING: SQLite gives whole numbers of a floating column as integers there.
        taken = many(connection, sa.select(job).where(job.c.id == taken["id"]))[0]
        taken["row_hash"] = sealed(taken)
        connection.execute(sa.update(job).where(job.c.id == taken["id"]).values(row_hash=taken["row_hash"]))
        data = {"state": "running", "attempt": taken["attempts"]}
        append_event(connection, store, taken["id"], "state", data)
        failpoint("claim.commit")
    held = as_job(taken)
    failpoint("claim.done")
    return Claim(held, held.token, worker, store.limits.lease_s)


def beat(store: Store, claim: Claim, progress: Progress) -> Beat:
    """Extend the lease; says whether to go on, to stop because the job was cancelled, or that the claim is lost.

    A caller whose child makes no progress must not call this: the lease then ends, and another worker tries.
    """
    with writing(store) as connection:
        epoch, now = store.steady(connection)
        row = connection.execute(
            sa.update(job)
            .where(job.c.id == claim.job_id, job.c.token == claim.token, job.c.state.in_(COMPUTING))
            .values(
                lease_epoch=epoch, lease_until=now + store.limits.lease_s, updated=store.now(),
                stage=progress.stage, fraction=min(max(progress.fraction, 0.0), 1.0),
            )
            .returning(job.c.cancel)
        ).one_or_none()  # fmt: skip
        if row is None:
            return "lost"
        data = {"stage": progress.stage, "fraction": round(progress.fraction, 4)}
        append_event(connection, store, claim.job_id, "progress", data)
    return "cancel" if row[0] else "go_on"


def note(store: Store, claim: Claim, kind: EventKind, data: Json) -> None:
    """Append an event of the worker's (a finding), as long as the claim holds.

    Raises
    ------
    Conflict : ``job.lost``.
    """
    with writing(store) as connection:
        held = connection.execute(
            sa.select(job.c.id)
            .where(job.c.id == claim.job_id, job.c.token == claim.token, job.c.state.in_(COMPUTING))
            .with_for_update()
        )
        if held.one_or_none() is None:
            raise Conflict("job.lost", f"job {claim.job_id[:8]} is no longer held by claim {claim.token}")
        append_event(connection, store, claim.job_id, kind, data)


def judging(store: Store, claim: Claim) -> Job:
    """From running to judging: the pixels stand, publishing is the next step.

    Raises
    ------
    Conflict : ``job.lost``.
    """
    return _step(store, claim, ("running",), "judge")


def hand_back(store: Store, claim: Claim) -> Job:
    """Back to the queue because the worker stops, not because of the job: the attempt does not count.

    Raises
    ------
    Conflict : ``job.lost``.
    """
    return _step(store, claim, ("running", "judging"), "hand_back", attempts=max(claim.job.attempts - 1, 0))


def fail(store: Store, claim: Claim, reason: str) -> Job:
    """End the job with a reason code: trying again would change nothing (a refusal of the input).

    Raises
    ------
    Conflict : ``job.lost``.
    """
    return _step(store, claim, ("running", "judging"), "fail", reason=reason)


def block(store: Store, claim: Claim, reason: str) -> Job:
    """End the job because what it was pinned to (weights, policy, configuration) is no longer there.

    Raises
    ------
    Conflict : ``job.lost``.
    """
    return _step(store, claim, ("running", "judging"), "block", reason=reason)


def cancelled(store: Store, claim: Claim) -> Job:
    """End the job after `beat` said ``cancel`` and the work was stopped.

    Raises
    ------
    Conflict : ``job.lost``.
    """
    return _step(store, claim, ("running", "judging"), "cancel")


def reap(store: Store) -> int:
    """Queue again what lost its lease, and end with ``job.attempts`` what lost it for the last time; returns how many.

    Any process may call it, at start and every few seconds.
    """
    ended = 0
    with writing(store) as connection:
        epoch, now = store.steady(connection)
        lost = (
            sa.select(job)
            .where(job.c.state.in_(COMPUTING))
            .where(sa.or_(job.c.lease_epoch != epoch, job.c.lease_until < now))
            .with_for_update(skip_locked=True)
        )
        for row in many(connection, lost):
            _lose(connection, store, checked(row))
            ended += 1
        failpoint("reap.commit")
    return ended


def _lose(connection: Connection, store: Store, row: Row) -> None:
    free = {"lease_epoch": None, "lease_until": None, "worker": None}
    if row["cancel"]:
        change(connection, store, row, "cancel", finished=store.now(), **free)
        append_event(connection, store, row["id"], "state", {"state": "cancelled"})
    elif row["attempts"] >= store.limits.attempts:
        change(connection, store, row, "exhaust", reason="job.attempts", finished=store.now(), **free)
        data = {"state": "failed", "reason": "job.attempts"}
        append_event(connection, store, row["id"], "state", data)
        audit.append(connection, store, actor="system", deed="fail", object_id=row["id"], data=data)
    else:
        change(connection, store, row, "lose", **free)
        append_event(connection, store, row["id"], "state", {"state": "queued", "lost": row["attempts"]})


def _step(
    store: Store, claim: Claim, states: tuple[Literal["running", "judging"], ...], deed: JobStep, **values: Any
) -> Job:
    ends = deed in ("fail", "block", "cancel")
    if ends:
        values["finished"] = store.now()
    if ends or deed == "hand_back":
        values.update(lease_epoch=None, lease_until=None, worker=None)
    with writing(store) as connection:
        after = fenced(connection, store, claim, states, deed, **values)
        data = {"state": after["state"]} | ({"reason": after["reason"]} if after["reason"] else {})
        append_event(connection, store, claim.job_id, "state", data)
        if deed in ("fail", "block", "cancel"):
            audit.append(connection, store, actor="worker", deed=deed, object_id=claim.job_id, data=data)
    return as_job(after)
