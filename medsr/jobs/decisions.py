"""A reader's decision: bound to the hash of what was seen, signed, and it changes no byte of the result."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from sqlalchemy import Connection

from medsr.errors import Conflict, Denied, IntegrityError, UsageError
from medsr.jobs import audit
from medsr.jobs.artefacts import keep_artefact
from medsr.jobs.events import append_event
from medsr.jobs.files import Kept, keep, open_checked
from medsr.jobs.keys import Principal
from medsr.jobs.nouns import Job
from medsr.jobs.outbox import enqueue
from medsr.jobs.publish import HASHED, output_hash
from medsr.jobs.rows import as_job, change, locked, sealed
from medsr.jobs.states import JobStep, step
from medsr.jobs.store import Row, Store, many, reading, writing
from medsr.jobs.tables import decision, result
from medsr.resources.failpoints import failpoint

__all__ = ["Decision", "ReaderVerdict", "decide", "decisions"]

ReaderVerdict = Literal["released", "rejected", "withdrawn"]
RELEASE_FILE = "release.json"

_SCHEMA = "medsr.release/1"
_STEPS: dict[ReaderVerdict, JobStep] = {"released": "approve", "rejected": "refuse", "withdrawn": "withdraw"}
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision as it stands in the store.

    Parameters
    ----------
    identity : the reader's name as stated to the page or the call.
    release_sha256 : of the signed release.json that tells it.
    """

    id: str
    job_id: str
    output_sha256: str
    verdict: str
    api_key: str
    identity: str
    reason: str
    at: float
    release_sha256: str


def decide(
    store: Store,
    job_id: str,
    *,
    reader: Principal,
    identity: str,
    verdict: ReaderVerdict,
    reason: str,
    output_sha256: str,
    etag: str,
    four_eyes: bool = False,
    destinations: tuple[str, ...] = (),
) -> Job:
    """Release or reject what is held, or withdraw what was released.

    Every byte is hashed again first; the signed decision is stored as `release.json` beside the files, and its row,
    the state, event, audit and outbox are one transaction.

    Parameters
    ----------
    identity : the reader's own name. reason : why, 1 to 500 printable characters.
    output_sha256 : `Job.output_sha256` as the reader saw it. etag : `Job.etag` as the reader saw it.
    four_eyes : the key and owner that submitted the job may not release it.

    Raises
    ------
    NotFound : ``job.none``.
    UsageError : ``decision.reason`` (HTTP 422).
    Denied : ``decision.scope``, ``decision.four_eyes``.
    Conflict : ``decision.stale``, if the job or its output is not what the reader saw.
    TransitionError : ``job.transition``, if the state does not allow it (HTTP 409).
    IntegrityError : ``store.rot``, ``store.hash``, if the stored result is not what was judged.
    """
    for text in (identity, reason):
        if not text.strip() or len(text) > _LONGEST or not text.isprintable():
            raise UsageError("decision.reason", f"name and reason are 1 to {_LONGEST} printable characters each")
    if not reader.may("review"):
        raise Denied("decision.scope", "the key may not review")
    with reading(store) as connection:
        row = locked(connection, job_id)
        _check(row, reader, verdict, output_sha256, etag, four_eyes=four_eyes)
        files = _files(connection, job_id)
        earlier = _rows(connection, job_id)
    _check_files(store, files, output_sha256)
    made = _made(store, job_id, reader, identity, verdict, reason, output_sha256)
    kept = _signed(store, made, files, earlier)
    failpoint("decide.file")
    with writing(store) as connection:
        row = locked(connection, job_id)
        _check(row, reader, verdict, output_sha256, etag, four_eyes=four_eyes)
        keep_artefact(connection, store, kept)
        values = made | {"release_sha256": kept.sha256, "number": len(earlier) + 1}
        connection.execute(sa.insert(decision).values(values | {"row_hash": _sealed(values)}))
        _show(connection, job_id, kept)
        after = as_job(change(connection, store, row, _STEPS[verdict]))
        data = {"state": after.state, "output_sha256": output_sha256, "release_sha256": kept.sha256}
        append_event(connection, store, job_id, "decision", data)
        audit.append(connection, store, actor=reader.key, deed="decide", object_id=job_id, data=data)
        if after.state == "released":
            for destination in destinations:
                enqueue(connection, store, after, destination)
        failpoint("decide.commit")
    failpoint("decide.ack")
    return after


def decisions(store: Store, job_id: str) -> tuple[Decision, ...]:
    """All decisions on a job, in order.

    Raises
    ------
    IntegrityError : ``store.row``.
    """
    with reading(store) as connection:
        rows = _rows(connection, job_id)
    return tuple(
        Decision(
            row["id"], row["job"], row["output_sha256"], row["verdict"], row["api_key"], row["identity"],
            row["reason"], row["at"], row["release_sha256"],
        )
        for row in rows
    )  # fmt: skip


def _check(
    row: Row, reader: Principal, verdict: ReaderVerdict, output_sha256: str, etag: str, *, four_eyes: bool
) -> None:
    seen = as_job(row)
    step(seen.state, _STEPS[verdict])
    if seen.output_sha256 != output_sha256:
        raise Conflict("decision.stale", f"job {seen.id[:8]} shows another output than the one decided on")
    if seen.etag != etag:
        raise Conflict("decision.stale", f"job {seen.id[:8]} has changed since it was read")
    if four_eyes and verdict == "released" and (reader.key == seen.api_key or reader.owner == seen.owner):
        raise Denied("decision.four_eyes", "the policy wants another reader than the sender")


def _check_files(store: Store, files: dict[str, str], output_sha256: str) -> None:
    """The approval is bound to bytes: names and hashes must give the hash, and the files must hash to theirs."""
    if output_hash(files) != output_sha256:
        raise IntegrityError("store.hash", "the files of the result do not make the output that was judged")
    for sha256 in files.values():
        open_checked(store.files, sha256).close()


def _files(connection: Connection, job_id: str) -> dict[str, str]:
    wanted = sa.select(result.c.name, result.c.sha256).where(result.c.job == job_id, result.c.kind.in_(HASHED))
    return {str(name): str(sha256) for name, sha256 in connection.execute(wanted)}


def _rows(connection: Connection, job_id: str) -> list[Row]:
    wanted = sa.select(decision).where(decision.c.job == job_id).order_by(decision.c.number)
    rows = many(connection, wanted)
    for row in rows:
        if _sealed(row) != row["row_hash"]:
            raise IntegrityError("store.row", f"a decision on job {job_id[:8]} is not what was written")
    return rows


def _sealed(row: Row) -> str:
    return sealed(row, without=frozenset({"row_hash"}))


def _made(
    store: Store, job_id: str, reader: Principal, identity: str, verdict: str, reason: str, output_sha256: str
) -> Row:
    return {
        "id": store.random.uuid(), "job": job_id, "output_sha256": output_sha256, "verdict": verdict,
        "api_key": reader.key, "identity": identity, "reason": reason, "at": store.now(),
    }  # fmt: skip


def _signed(store: Store, made: Row, files: dict[str, str], earlier: list[Row]) -> Kept:
    from medsr.release.record import signed, signing_key  # the room loads torch: only where something is decided

    told = [_told(row) for row in (*earlier, made)]
    entry = {
        "schema": _SCHEMA, "state": made["verdict"], "job": made["job"], "output_sha256": made["output_sha256"],
        "decisions": told, "files": files,
    }  # fmt: skip
    return keep(store.files, [signed(entry, signing_key())])


def _told(row: Row) -> dict[str, object]:
    time = datetime.datetime.fromtimestamp(row["at"], datetime.UTC).isoformat(timespec="seconds")
    return {
        "verdict": row["verdict"], "reader": row["identity"], "identity": f"key {row['api_key']}",
        "reason": row["reason"], "time": time, "output_sha256": row["output_sha256"],
    }  # fmt: skip


def _show(connection: Connection, job_id: str, kept: Kept) -> None:
    """Put the newest release.json beside the files; earlier ones stay artefacts of their decisions."""
    connection.execute(sa.delete(result).where(result.c.job == job_id, result.c.kind == "release"))
    row = {"job": job_id, "name": RELEASE_FILE, "sha256": kept.sha256, "kind": "release", "bytes": kept.bytes}
    connection.execute(sa.insert(result).values(row))
