"""A copy of a store holds one state of it, and a store made from it sends nothing unasked."""

from __future__ import annotations

import itertools
import json

import pytest
import sqlalchemy as sa
from support.stores import LIMITS, fake_random, held_job, queued, release_of

from medsr.errors import Conflict, IntegrityError, UsageError
from medsr.jobs import audit
from medsr.jobs.backup import backup, restore
from medsr.jobs.checks import check_files, check_rows
from medsr.jobs.claims import claim, judging
from medsr.jobs.listing import jobs
from medsr.jobs.publish import publish
from medsr.jobs.store import DATABASE, close_store, many, open_store, reading
from medsr.jobs.tables import outbox
from medsr.resources.failpoints import FailpointError


@pytest.fixture
def full(store, tmp_path):
    """A store with a released, a held and a running job, and something to be sent."""
    queued(store, b"first")
    held = claim(store, "w")
    judging(store, held)
    publish(store, held, release_of(tmp_path / "1", "released", image=b"1"), destinations=("pacs",))
    held_job(store, tmp_path / "2")
    queued(store, b"third")
    return store


def test_f19_a_restored_store_has_every_job_and_trusts_no_sending(full, tmp_path, time):
    zombie = claim(full, "w")
    report = backup(full, tmp_path / "copy")
    assert (report.jobs, report.files) == (3, 3 + 4 + 2)
    queued(full, b"after the copy")
    assert (
        restore(tmp_path / "copy", tmp_path / "new", limits=LIMITS, clock=time.clock, random=fake_random(9)) == report
    )
    made = open_store(tmp_path / "new", limits=LIMITS, clock=time.clock, random=fake_random(10))
    states = {job.id: job.state for job in jobs(made).items}
    assert sorted(states.values()) == ["queued", "released", "review"]
    assert states[zombie.job_id] == "queued"
    assert check_rows(made) == ()
    assert list(check_files(made)) == []
    with reading(made) as connection:
        assert [row["state"] for row in many(connection, sa.select(outbox))] == ["unknown"]
    with pytest.raises(Conflict, match=r"job.lost"):
        judging(made, zombie)
    known = audit.AuditHead(report.audit_seq, report.audit_hash)
    assert audit.verify(made, known=known).seq == report.audit_seq + 1
    close_store(made)


def test_a_copy_is_never_written_over_and_never_restored_over(full, tmp_path):
    backup(full, tmp_path / "copy")
    with pytest.raises(UsageError, match=r"backup.exists"):
        backup(full, tmp_path / "copy")
    with pytest.raises(UsageError, match=r"backup.exists"):
        restore(tmp_path / "copy", full.folder)
    with pytest.raises(UsageError, match=r"backup.none"):
        restore(full.folder, tmp_path / "new")


def test_a_damaged_copy_is_not_restored(sqlite_store, tmp_path):
    queued(sqlite_store)
    numbers = itertools.count()

    def restored(name):
        return restore(tmp_path / name, tmp_path / f"new{next(numbers)}", limits=LIMITS)

    for name in ("rows", "files", "manifest", "words"):
        backup(sqlite_store, tmp_path / name)
    rows = tmp_path / "rows" / DATABASE
    rows.write_bytes(rows.read_bytes() + b"x")
    next(path for path in (tmp_path / "files" / "sha256").rglob("*") if path.is_file()).write_bytes(b"rotten")
    manifest = tmp_path / "manifest" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_bytes()) | {"audit_hash": "0" * 64}))
    (tmp_path / "words" / "manifest.json").write_text("{}")
    for name in ("rows", "files", "manifest", "words"):
        with pytest.raises(IntegrityError, match=r"store.rot" if name == "files" else r"backup.broken"):
            restored(name)


def test_a_store_with_rot_is_not_copied(full, tmp_path):
    next(path for path in (full.folder / "sha256").rglob("*") if path.is_file()).write_bytes(b"rotten")
    with pytest.raises(IntegrityError, match=r"store.rot"):
        backup(full, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("point", ["backup.files", "backup.rename"])
def test_a_copy_that_is_cut_is_not_there(full, tmp_path, monkeypatch, point):
    monkeypatch.setenv("MEDSR_FAIL", f"{point}:1:raise")
    with pytest.raises(FailpointError):
        backup(full, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.postgres
def test_a_copy_of_sqlite_restores_into_postgresql(sqlite_store, migrated, tmp_path, time):
    queued(sqlite_store, b"first")
    done = claim(sqlite_store, "w")
    judging(sqlite_store, done)
    publish(sqlite_store, done, release_of(tmp_path / "1", "released"))
    report = backup(sqlite_store, tmp_path / "copy")
    migrated.command("CREATE DATABASE restored")
    try:
        url = migrated.url("restored")
        assert restore(tmp_path / "copy", tmp_path / "new", url=url, limits=LIMITS, clock=time.clock) == report
        made = open_store(tmp_path / "new", url=url, limits=LIMITS, clock=time.clock)
        assert [job.state for job in jobs(made).items] == ["released"]
        assert check_rows(made) == ()
        close_store(made)
        with pytest.raises(UsageError, match=r"backup.exists"):
            restore(tmp_path / "copy", tmp_path / "other", url=url, limits=LIMITS, clock=time.clock)
    finally:
        migrated.command("DROP DATABASE restored WITH (FORCE)")
