"""The only way from a Release to a job that shows it: files first, then rows, event, audit and outbox in one deed.

A worker may run a job any number of times; the compare-and-set on token and state lets one result through.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import sqlalchemy as sa
from sqlalchemy import Connection

from medsr.errors import IntegrityError
from medsr.jobs import audit
from medsr.jobs.artefacts import keep_artefact
from medsr.jobs.events import append_event
from medsr.jobs.files import Kept, chunks_of, keep
from medsr.jobs.nouns import Claim, Job, Json
from medsr.jobs.outbox import enqueue
from medsr.jobs.rows import as_job, fenced, locked, sealed
from medsr.jobs.states import JobState
from medsr.jobs.store import Row, Store, canonical, writing
from medsr.jobs.tables import gate, result
from medsr.resources.failpoints import failpoint

if TYPE_CHECKING:
    from medsr.release.publication import Release

__all__ = ["HASHED", "kind_of", "output_hash", "publish"]

_HELD = "held/"
_REPORTS = ("report.json", "report.html")
VIEW = "view.safetensors"
HASHED = ("image", "sidecar", "record", "report")
"""Kinds of files that the output's hash covers; a view and a reader's release stand beside them."""


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    kind: str
    kept: Kept


def publish(
    store: Store,
    claim: Claim,
    release: Release,
    *,
    label: str = "",
    summary: Json | None = None,
    destinations: Sequence[str] = (),
    view: Path | None = None,
) -> Job:
    """Take what `release.advance` made into the store and let the job show it.

    Held files are stored like released ones, under the names they have once released: an approval moves no byte.
    A job that was cancelled meanwhile ends cancelled; one whose policy is not the pinned one ends blocked.

    Parameters
    ----------
    label : of the verdict (UNVERIFIED or empty). summary : figures for lists and metrics, no text from the scan.
    destinations : where released files are sent.
    view : what the review page shows of the result (report.viewing); stored beside it, no part of the output's hash.

    Raises
    ------
    Conflict : ``job.lost``: a newer claim came first. Drop the work; what was stored is swept after a day.
    IntegrityError : ``release.forged``, ``store.hash``, if a file is not what the Release says.
    """
    from medsr.release.publication import Release as Genuine  # imports torch, which only a worker has anyway

    if not isinstance(release, Genuine):
        raise IntegrityError("release.forged", "only what release.advance returned is published")
    files = [_stored(store, release, name, sha256) for name, sha256 in release.files]
    output = output_hash({file.name: file.kept.sha256 for file in files})
    if view is not None:
        files.append(_viewed(store, view))
    failpoint("publish.files")
    values: Row = {
        "verdict": release.word, "label": label or None, "summary": dict(summary or {}), "output_sha256": output,
        "finished": store.now(), "fraction": 1.0, "lease_epoch": None, "lease_until": None, "worker": None,
    }  # fmt: skip
    with writing(store) as connection:
        row = locked(connection, claim.job_id)
        ended = _end_without_result(connection, store, claim, row, release)
        if ended is None:
            # In order of hash, as whoever holds several rows must take them.
            for file in sorted(files, key=lambda file: file.kept.sha256):
                keep_artefact(connection, store, file.kept)
            if row["token"] == claim.token:
                _add_gate(connection, store, claim.job_id, output, release)
            decided = cast(JobState, release.word)
            after = fenced(connection, store, claim, ("judging",), "publish", decided=decided, **values)
            _add_results(connection, claim.job_id, files)
            ended = as_job(after)
        _tell(connection, store, ended, release.reasons)
        if ended.state == "released":
            for destination in destinations:
                enqueue(connection, store, ended, destination)
        failpoint("publish.commit")
    failpoint("publish.done")
    return ended


def output_hash(files: Mapping[str, str]) -> str:
    """The hash that a decision binds to: sha256 of the lines ``<sha256>  <name>`` in order of name.

    That is what ``sha256sum`` prints, so that anybody can compute it again without medsr.
    """
    lines = "".join(f"{files[name]}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def kind_of(name: str) -> str:
    """What a result file is: report, record, sidecar or image."""
    if name in _REPORTS:
        return "report"
    if name.endswith(".medsr.json"):
        return "record"
    return "sidecar" if name.endswith(".json") else "image"


def _stored(store: Store, release: Release, name: str, sha256: str) -> _File:
    shown = name.removeprefix(_HELD)
    with (release.output / name).open("rb") as stream:
        return _File(shown, kind_of(shown), keep(store.files, chunks_of(stream), wanted=sha256))


def _viewed(store: Store, view: Path) -> _File:
    with view.open("rb") as stream:
        return _File(VIEW, "view", keep(store.files, chunks_of(stream)))


def _end_without_result(connection: Connection, store: Store, claim: Claim, row: Row, release: Release) -> Job | None:
    closed: Row = {
        "finished": store.now(), "lease_epoch": None, "lease_until": None, "worker": None,
    }  # fmt: skip
    if row["cancel"]:
        return as_job(fenced(connection, store, claim, ("judging",), "cancel", **closed))
    if row["policy_sha256"] != release.policy_sha256:
        return as_job(fenced(connection, store, claim, ("judging",), "block", reason="job.pins", **closed))
    return None


def _add_gate(connection: Connection, store: Store, job_id: str, output: str, release: Release) -> None:
    row: dict[str, object] = {
        "job": job_id, "output_sha256": output, "word": release.word, "reasons": canonical(list(release.reasons)),
        "pixels_sha256": release.pixels_sha256 or "", "policy_sha256": release.policy_sha256, "at": store.now(),
    }  # fmt: skip
    connection.execute(sa.insert(gate).values(row | {"row_hash": sealed(row)}))


def _add_results(connection: Connection, job_id: str, files: Iterable[_File]) -> None:
    rows = [
        {"job": job_id, "name": file.name, "sha256": file.kept.sha256, "kind": file.kind, "bytes": file.kept.bytes}
        for file in files
    ]
    if rows:
        connection.execute(sa.insert(result), rows)


def _tell(connection: Connection, store: Store, job: Job, reasons: Sequence[str]) -> None:
    data: dict[str, object] = {"state": job.state}
    if job.reason:
        data["reason"] = job.reason
    if job.output_sha256:
        data |= {"verdict": job.verdict, "reasons": list(reasons), "output_sha256": job.output_sha256}
    append_event(connection, store, job.id, "state", data)
    audit.append(connection, store, actor="worker", deed="publish", object_id=job.id, data=data)
