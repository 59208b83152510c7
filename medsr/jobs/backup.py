"""Copies of a whole store: one state of the rows, every file they keep, and a manifest that says both.

A copy's rows are an SQLite file whichever engine they came from, so that it opens anywhere and restores into either.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection

from medsr.errors import IntegrityError, NotFound, UsageError
from medsr.jobs import audit
from medsr.jobs.clock import SYSTEM_CLOCK, SYSTEM_RANDOM, Clock, Random
from medsr.jobs.files import chunks_of, keep, open_checked
from medsr.jobs.migrate import migrate, schema_version
from medsr.jobs.rows import sealed
from medsr.jobs.states import COMPUTING
from medsr.jobs.store import DATABASE, Limits, Row, Store, close_store, many, one, open_store, reading, writing
from medsr.jobs.tables import METADATA, api_key, artefact, audit_head, job, outbox, session
from medsr.resources import sync_folder, write_bytes
from medsr.resources.failpoints import failpoint

__all__ = ["BackupReport", "backup", "restore"]

MANIFEST = "manifest.json"
_SCHEMA = "medsr.backup/1"
_BATCH = 1_000
_TOKENS_BEYOND = 1_000
"""Restored tokens start this far on, so that no claim of the lost time can match one."""


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a copy holds."""

    jobs: int
    files: int
    bytes: int
    audit_seq: int
    audit_hash: str


def backup(store: Store, target: Path) -> BackupReport:
    """Copy the store into a new folder while it is in use; the folder appears whole or not at all.

    Raises
    ------
    UsageError : ``backup.exists``.
    IntegrityError : ``store.rot``, if a file of the store has rotted: a copy of it would hide that.
    """
    if target.exists():
        raise UsageError("backup.exists", f"{target.name} is there already")
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = target.parent / f".{target.name[:80]}.{secrets.token_hex(6)}.part"
    staging.mkdir(mode=0o700)
    try:
        copy = open_store(staging, limits=store.limits, clock=store.clock, random=store.random)
        try:
            _copy_rows(store, copy)
            failpoint("backup.files")
            report = _copy_files(store, copy)
            _write_manifest(copy, report)
        finally:
            close_store(copy)
        sync_folder(staging)
        failpoint("backup.rename")
        staging.rename(target)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    sync_folder(target.parent)
    with writing(store) as connection:
        data = {"audit_seq": report.audit_seq, "audit_hash": report.audit_hash, "files": report.files}
        audit.append(connection, store, actor="system", deed="backup", object_id="store", data=data)
    return report


def restore(
    source: Path,
    folder: Path,
    *,
    url: str | None = None,
    limits: Limits | None = None,
    clock: Clock = SYSTEM_CLOCK,
    random: Random = SYSTEM_RANDOM,
) -> BackupReport:
    """Make a store from a copy, in a folder (and database) that holds none.

    Every file is hashed, the audit followed and compared with the manifest. What happened after the copy is not
    known: whatever was to be sent is marked ``unknown``, so that the peer is asked first, and running jobs wait
    again under tokens that no lost claim can have.

    Raises
    ------
    UsageError : ``backup.none``, ``backup.exists``.
    IntegrityError : ``backup.broken``, ``store.rot``, ``audit.chain``.
    """
    manifest = _read_manifest(source)
    if folder.exists() and any(folder.iterdir()):
        raise UsageError("backup.exists", f"{folder.name} is not empty")
    copy = open_store(source, limits=limits, clock=clock, random=random, create=False)
    try:
        made = open_store(folder, url=url, limits=limits, clock=clock, random=random)
        try:
            _copy_rows(copy, made)
            failpoint("restore.files")
            report = _copy_files(copy, made)
            known = audit.AuditHead(manifest.audit_seq, manifest.audit_hash)
            if audit.verify(made) != known or report != manifest:
                raise IntegrityError("backup.broken", f"{source.name} does not hold what its manifest says")
            _distrust(made, report)
        finally:
            close_store(made)
    finally:
        close_store(copy)
    return report


def _copy_rows(source: Store, target: Store) -> None:
    """One state of every table, in the order in which they refer to each other."""
    migrate(target)
    if schema_version(source) != schema_version(target):
        raise IntegrityError("backup.broken", "the copy has another schema")
    with (
        source.engine.connect().execution_options(**_one_state(source)) as reader,
        reader.begin(),
        writing(target) as writer,
    ):
        if many(writer, sa.select(job.c.id).limit(1)) or many(writer, sa.select(api_key.c.id).limit(1)):
            raise UsageError("backup.exists", "the database holds a store already")
        writer.execute(sa.delete(audit_head))
        for table in METADATA.sorted_tables:
            if table is session:
                continue
            for batch in reader.execute(sa.select(table)).mappings().partitions(_BATCH):
                writer.execute(sa.insert(table), [_insertable(table, batch_row) for batch_row in batch])
        released = sa.select(job.c.id).where(job.c.state == "released")
        for row in many(reader, released):
            writer.execute(sa.update(job).where(job.c.id == row["id"]).values(state="released"))


def _insertable(table: sa.Table, row: sa.RowMapping) -> Row:
    plain = {str(name): value for name, value in row.items()}
    # The trigger wants the pass or the decision first, and those refer to the job.
    return plain | {"state": "judging"} if table is job and plain["state"] == "released" else plain


def _one_state(store: Store) -> Mapping[str, object]:
    return {} if store.sqlite else {"isolation_level": "REPEATABLE READ"}


def _copy_files(source: Store, target: Store) -> BackupReport:
    """Every file that the copied rows keep; one that was purged since the rows were copied is marked so."""
    with reading(target) as connection:
        wanted = many(connection, sa.select(artefact.c.sha256).where(artefact.c.state == "kept"))
    files = size = 0
    for row in wanted:
        try:
            stream = open_checked(source.files, row["sha256"])
        except NotFound:
            _mark_gone(source, target, row["sha256"])
            continue
        with stream:
            size += keep(target.files, chunks_of(stream), wanted=row["sha256"]).bytes
        files += 1
    with reading(target) as connection:
        jobs = int(connection.execute(sa.select(sa.func.count()).select_from(job)).scalar_one())
    last = audit.head(target)
    return BackupReport(jobs, files, size, last.seq, last.hash)


def _mark_gone(source: Store, target: Store, sha256: str) -> None:
    this = artefact.c.sha256 == sha256
    with reading(source) as connection:
        row = one(connection, sa.select(artefact.c.state).where(this))
    if row is not None and row["state"] == "kept":
        raise IntegrityError("store.rot", f"file {sha256[:12]} is missing from the store")
    with writing(target) as connection:
        connection.execute(sa.update(artefact).where(this).values(state="purged"))


def _write_manifest(copy: Store, report: BackupReport) -> None:
    with copy.engine.connect() as connection:
        cursor = connection.connection.cursor()
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        cursor.close()
    digest = hashlib.sha256((copy.folder / DATABASE).read_bytes()).hexdigest()
    record = {"schema": _SCHEMA, "database_sha256": digest, **asdict(report)}
    write_bytes(copy.folder / MANIFEST, (json.dumps(record, indent=2) + "\n").encode(), mode=0o600)


def _read_manifest(source: Path) -> BackupReport:
    path = source / MANIFEST
    if not path.is_file():
        raise UsageError("backup.none", f"{source.name} holds no finished copy of a store")
    try:
        record = json.loads(path.read_bytes())
        digest = hashlib.sha256((source / DATABASE).read_bytes()).hexdigest()
        fields = {name: record[name] for name in ("jobs", "files", "bytes", "audit_seq", "audit_hash")}
        right = record["schema"] == _SCHEMA and record["database_sha256"] == digest
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError("backup.broken", f"{source.name} has no readable manifest") from error
    if not right:
        raise IntegrityError("backup.broken", f"the rows of {source.name} are not those of its manifest")
    return BackupReport(**fields)


def _distrust(made: Store, report: BackupReport) -> None:
    with writing(made) as connection:
        connection.execute(sa.delete(session))
        doubtful = outbox.c.state.in_(("waiting", "sending"))
        connection.execute(sa.update(outbox).where(doubtful).values(state="unknown"))
        _wait_again(connection, made)
        data = {"audit_seq": report.audit_seq, "audit_hash": report.audit_hash}
        audit.append(connection, made, actor="system", deed="restore", object_id="store", data=data)


def _wait_again(connection: Connection, made: Store) -> None:
    for row in many(connection, sa.select(job).where(job.c.state.in_((*COMPUTING, "queued")))):
        after = row | {
            "state": "queued", "token": row["token"] + _TOKENS_BEYOND, "version": row["version"] + 1,
            "updated": made.now(), "lease_epoch": None, "lease_until": None, "worker": None,
        }  # fmt: skip
        after["row_hash"] = sealed(after)
        connection.execute(sa.update(job).where(job.c.id == row["id"]).values(after))
