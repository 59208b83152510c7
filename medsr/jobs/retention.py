"""What is kept how long, and what is erased on request: a patient's data go, hashes and audit stay."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from medsr.errors import Conflict, NotFound, TransitionError, Unavailable
from medsr.jobs import audit, idempotency, sessions, stages
from medsr.jobs.events import append_event
from medsr.jobs.nouns import Job
from medsr.jobs.outbox import waiting
from medsr.jobs.rows import as_job, change, locked, sealed
from medsr.jobs.store import Row, Store, many, reading, writing
from medsr.jobs.submit import cancel
from medsr.jobs.sweeping import remove_purged, remove_stray_files
from medsr.jobs.tables import artefact, decision, event, input_, job, result, stage
from medsr.jobs.watermark import give_up_ballast, make_ballast, trim_wal
from medsr.resources.failpoints import failpoint

__all__ = ["Purged", "Swept", "purge", "purge_input", "purge_study", "sweep"]


_MOST = 500
"""Jobs and files that one sweep takes on."""


@dataclass(frozen=True, slots=True)
class Purged:
    """What an erasure reached.

    Parameters
    ----------
    jobs : ids of the jobs whose data are gone. inputs : hashes of the uploads that are gone.
    waiting : ids of jobs that a worker still holds or a destination still waits for: ask again.
    """

    jobs: tuple[str, ...]
    inputs: tuple[str, ...]
    waiting: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep removed."""

    jobs: int
    files: int
    idempotency: int
    sessions: int
    stages: int


def purge(store: Store, job_id: str, *, actor: str, owner: str | None = None) -> Job:
    """Erase a job's data: result files, findings, figures, the reasons of decisions, and its input if nobody else's.

    Raises
    ------
    NotFound : ``job.none``.
    TransitionError : ``job.transition``, while it waits or runs: cancel it first.
    Conflict : ``purge.outbox``, while a destination has not verifiably got its files.
    """
    try:
        done = _purge(store, job_id, actor=actor, owner=owner)
    except Unavailable as error:
        if error.code != "store.full" or not give_up_ballast(store):
            raise
        done = _purge(store, job_id, actor=actor, owner=owner)
    failpoint("purge.unlink")
    remove_purged(store)
    return done


def purge_input(store: Store, sha256: str, *, owner: str, actor: str) -> None:
    """Erase an upload that no job uses.

    Raises
    ------
    NotFound : ``input.none``.
    Conflict : ``purge.used``, if a job that is not purged was made from it.
    """
    with writing(store) as connection:
        mine = sa.and_(input_.c.sha256 == sha256, input_.c.owner == owner)
        if not many(connection, sa.select(input_.c.sha256).where(mine)):
            raise NotFound("input.none", "there is no such input, or its bytes were purged")
        if not _drop_input(connection, sha256, owner):
            raise Conflict("purge.used", "a job was made from this input")
        _condemn(connection, {sha256})
        audit.append(connection, store, actor=actor, deed="purge", object_id=sha256, data={})
    remove_purged(store)


def purge_study(store: Store, study_uid: str, *, actor: str) -> Purged:
    """Erase everything of a study: its uploads and their jobs; what waits is cancelled, what runs is asked to stop."""
    study = hashlib.sha256(study_uid.strip().encode()).hexdigest()
    with reading(store) as connection:
        wanted = sa.select(input_.c.sha256, input_.c.owner).where(input_.c.study_sha256 == study)
        inputs = [(row["sha256"], row["owner"]) for row in many(connection, wanted)]
        hashes = [sha256 for sha256, _ in inputs]
        used = sa.or_(job.c.input_sha256.in_(hashes), job.c.candidate_sha256.in_(hashes))
        found = many(connection, sa.select(job.c.id, job.c.state).where(used, job.c.state != "purged"))
    done, later = [], []
    for row in found:
        try:
            if row["state"] in ("receiving", "queued", "running", "judging"):
                cancel(store, row["id"], owner=None, actor=actor)
            purge(store, row["id"], actor=actor)
            done.append(row["id"])
        except (TransitionError, Conflict):
            later.append(row["id"])
    for sha256, owner in inputs:
        try:
            purge_input(store, sha256, owner=owner, actor=actor)
        except (NotFound, Conflict):
            continue
    return Purged(tuple(done), tuple(sorted(set(hashes))), tuple(later))


def sweep(store: Store) -> Swept:
    """Purge what has passed its age, forget old names and sessions, remove stray files, keep log and ballast in shape.

    Any process may call it, every few minutes. It can be killed anywhere and called again.
    """
    purged = 0
    for job_id in _aged(store):
        try:
            purge(store, job_id, actor="system")
            purged += 1
        except (Conflict, TransitionError):
            continue
    with writing(store) as connection:
        names = idempotency.forget_old(connection, store)
        ended = sessions.forget_old(connection, store)
        old = stages.forget_old(connection, store)
        _condemn_unused(connection, store)
    files = remove_purged(store) + remove_stray_files(store)
    trim_wal(store)
    make_ballast(store)
    return Swept(purged, files, names, ended, old)


def _aged(store: Store) -> list[str]:
    now = store.now()
    old = [
        sa.and_(job.c.state == state, sa.func.coalesce(job.c.finished, job.c.updated) < now - age)
        for state, age in store.limits.keep_s.items()
    ]
    with reading(store) as connection:
        return [row["id"] for row in many(connection, sa.select(job.c.id).where(sa.or_(*old)).limit(_MOST))]


def _purge(store: Store, job_id: str, *, actor: str, owner: str | None) -> Job:
    with writing(store) as connection:
        row = locked(connection, job_id, owner=owner)
        if waiting(connection, job_id):
            raise Conflict("purge.outbox", f"job {job_id[:8]} is still to be sent")
        after = change(connection, store, row, "purge", summary=None)
        hashes = {found["sha256"] for found in many(connection, sa.select(result.c.sha256).where(_of(job_id)))}
        hashes |= _forget_reasons(connection, job_id)
        connection.execute(sa.delete(event).where(event.c.job == job_id, event.c.kind == "finding"))
        for sha256 in {row["input_sha256"], row["candidate_sha256"]} - {None}:
            if _drop_input(connection, sha256, row["owner"]):
                hashes |= {sha256} | _drop_stages(connection, sha256)
        _condemn(connection, hashes)
        append_event(connection, store, job_id, "state", {"state": "purged"})
        data = {"output_sha256": row["output_sha256"], "input": row["input_sha256"]}
        audit.append(connection, store, actor=actor, deed="purge", object_id=job_id, data=data)
        failpoint("purge.commit")
    return as_job(after)


def _of(job_id: str) -> sa.ColumnElement[bool]:
    return result.c.job == job_id


def _forget_reasons(connection: Connection, job_id: str) -> set[str]:
    """Free text of readers may name a patient; who decided what, and the hash of the signed decision, stay."""
    rows = many(connection, sa.select(decision).where(decision.c.job == job_id))
    for row in rows:
        after: Row = {**row, "reason": ""}
        values = {"reason": "", "row_hash": sealed(after, without=frozenset({"row_hash"}))}
        connection.execute(sa.update(decision).where(decision.c.id == row["id"]).values(values))
    return {row["release_sha256"] for row in rows}


def _drop_input(connection: Connection, sha256: str, owner: str) -> bool:
    """Remove an owner's upload unless a job that is not purged was made from it; True if it went."""
    used = (
        sa.select(job.c.id)
        .where(sa.or_(job.c.input_sha256 == sha256, job.c.candidate_sha256 == sha256))
        .where(job.c.owner == owner, job.c.state != "purged")
        .limit(1)
    )
    if many(connection, used):
        return False
    connection.execute(sa.delete(input_).where(input_.c.sha256 == sha256, input_.c.owner == owner))
    return True


def _drop_stages(connection: Connection, sha256: str) -> set[str]:
    if many(connection, sa.select(input_.c.sha256).where(input_.c.sha256 == sha256)):
        return set()
    rows = many(connection, sa.select(stage.c.sha256).where(stage.c.input_sha256 == sha256))
    connection.execute(sa.delete(stage).where(stage.c.input_sha256 == sha256))
    return {row["sha256"] for row in rows}


def _condemn(connection: Connection, hashes: set[str]) -> None:
    """Mark the files that nothing needs any more; equal bytes of another job keep theirs.

    The rows are held first and the need looked at in a statement after it: a publication that held one meanwhile has
    then committed, and PostgreSQL shows what it added only to a later statement.
    """
    these = artefact.c.sha256.in_(sorted(hashes))
    many(connection, sa.select(artefact.c.sha256).where(these).order_by(artefact.c.sha256).with_for_update())
    unused = sa.and_(these, artefact.c.state == "kept", *_unneeded())
    connection.execute(sa.update(artefact).where(unused).values(state="purging"))


def _condemn_unused(connection: Connection, store: Store) -> None:
    """Mark files that lost their last use (an old stage, a replaced upload) and are older than the limit."""
    limit = store.now() - store.limits.unreferenced_s
    unused = sa.and_(artefact.c.state == "kept", artefact.c.created < limit, *_unneeded())
    found = many(connection, sa.select(artefact.c.sha256).where(unused).limit(_MOST))
    _condemn(connection, {row["sha256"] for row in found})


def _unneeded() -> list[sa.ColumnElement[bool]]:
    sha256 = artefact.c.sha256
    live = job.c.state != "purged"
    shown = sa.select(result.c.job).join(job, job.c.id == result.c.job).where(result.c.sha256 == sha256, live)
    told = sa.select(decision.c.id).join(job, job.c.id == decision.c.job)
    return [
        ~sa.exists(shown.correlate(artefact)),
        ~sa.exists(told.where(decision.c.release_sha256 == sha256, live).correlate(artefact)),
        ~sa.exists(sa.select(input_.c.sha256).where(input_.c.sha256 == sha256).correlate(artefact)),
        ~sa.exists(sa.select(stage.c.sha256).where(stage.c.sha256 == sha256).correlate(artefact)),
    ]
