"""A job is made: input, request and everything it runs with are fixed in one transaction."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from medsr.errors import Unavailable
from medsr.jobs import audit, idempotency
from medsr.jobs.events import append_event
from medsr.jobs.inputs import require_input
from medsr.jobs.nouns import IdempotencyKey, Job, JobRequest, Pins
from medsr.jobs.rows import as_job, change, insert_job, locked
from medsr.jobs.store import Store, canonical, writing
from medsr.jobs.tables import job
from medsr.jobs.watermark import check_room
from medsr.resources.failpoints import failpoint

__all__ = ["cancel", "submit", "supersede"]


def submit(
    store: Store,
    *,
    owner: str,
    request: JobRequest,
    input_sha256: str,
    pins: Pins,
    key: IdempotencyKey | None = None,
    api_key: str | None = None,
    priority: int = 0,
) -> Job:
    """Queue a job; once this returns it is on disk.

    Parameters
    ----------
    key : asked again with the same name and body by the same owner, the first job is returned and none is made.
    api_key : id of the submitting key where it is not the owner's name; four-eyes looks at both.
    priority : higher is claimed first.

    Raises
    ------
    NotFound : ``input.none``.
    Conflict : ``job.idempotency``, for a known name with another body.
    Unavailable : ``job.queue_full``, ``job.owner_full``, ``store.full``, ``store.busy``, ``store.read_only``.
    """
    actor, now = api_key or owner, store.now()
    with writing(store) as connection:
        if key is not None:
            known = idempotency.replay(connection, store, owner=owner, key=key)
            if known is not None:
                return as_job(locked(connection, known))
        check_room(store)
        require_input(connection, input_sha256, owner)
        if request.candidate_sha256 is not None:
            require_input(connection, request.candidate_sha256, owner)
        _check_queue(connection, store, owner)
        made = insert_job(
            connection,
            {
                "id": store.random.uuid(), "state": "queued", "version": 1, "priority": priority, "owner": owner,
                "api_key": actor, "created": now, "updated": now, "kind": request.kind,
                "request": canonical(dict(request.parameters)), "input_sha256": input_sha256,
                "candidate_sha256": request.candidate_sha256, "bundle": pins.bundle,
                "bundle_sha256": pins.bundle_sha256, "policy": pins.policy, "policy_sha256": pins.policy_sha256,
                "configuration_sha256": pins.configuration_sha256, "calibration_sha256": pins.calibration_sha256,
                "token": 0, "attempts": 0, "fraction": 0.0, "cancel": False,
            },
        )  # fmt: skip
        if key is not None:
            idempotency.remember(connection, store, owner=owner, key=key, job_id=made.id)
        append_event(connection, store, made.id, "state", {"state": "queued"})
        data = {"input": input_sha256, "bundle": pins.bundle_sha256, "policy": pins.policy_sha256}
        audit.append(connection, store, actor=actor, deed="submit", object_id=made.id, data=data)
        failpoint("submit.commit")
    failpoint("submit.ack")
    return made


def cancel(store: Store, job_id: str, *, owner: str | None, actor: str) -> Job:
    """Stop a job: at once if it waits, at its worker's next heartbeat if it runs.

    Parameters
    ----------
    owner : None for an administrator, who may stop anybody's.

    Raises
    ------
    NotFound : ``job.none``.
    TransitionError : ``job.transition``, if nothing is left to stop.
    """
    with writing(store) as connection:
        row = locked(connection, job_id, owner=owner)
        if row["state"] in ("running", "judging"):
            after = row if row["cancel"] else change(connection, store, row, None, cancel=True)
        else:
            after = change(connection, store, row, "cancel", cancel=True, finished=store.now())
            append_event(connection, store, job_id, "state", {"state": "cancelled"})
        audit.append(connection, store, actor=actor, deed="cancel", object_id=job_id, data={"state": row["state"]})
    return as_job(after)


def supersede(store: Store, job_id: str, *, by: str, actor: str = "system") -> Job:
    """Retire a job because a newer version of its input (late slices) has a job of its own.

    Raises
    ------
    NotFound : ``job.none``, of either.
    TransitionError : ``job.transition``, if the old job shows nothing that could be taken for valid.
    """
    with writing(store) as connection:
        newer = locked(connection, by)
        row = locked(connection, job_id, owner=newer["owner"])
        finished = row["finished"] or store.now()
        after = change(connection, store, row, "supersede", superseded_by=by, finished=finished)
        append_event(connection, store, job_id, "state", {"state": "superseded", "superseded_by": by})
        audit.append(connection, store, actor=actor, deed="supersede", object_id=job_id, data={"by": by})
    return as_job(after)


def _check_queue(connection: Connection, store: Store, owner: str) -> None:
    waiting = sa.select(sa.func.count()).select_from(job).where(job.c.state == "queued")
    if connection.execute(waiting).scalar_one() >= store.limits.most_queued:
        raise Unavailable("job.queue_full", f"{store.limits.most_queued} jobs wait")
    if connection.execute(waiting.where(job.c.owner == owner)).scalar_one() >= store.limits.most_queued_by_owner:
        raise Unavailable("job.owner_full", f"{store.limits.most_queued_by_owner} jobs of this owner wait")
