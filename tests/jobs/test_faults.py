"""The faults of reliability.md that the store itself must bear, each named after its number."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.stores import LIMITS, READER, fake_random, held_job, queued, run, upload

from medsr.errors import IntegrityError, Unavailable, UsageError
from medsr.jobs.checks import check_files, check_rows
from medsr.jobs.claims import claim
from medsr.jobs.decisions import decide
from medsr.jobs.files import file_path
from medsr.jobs.listing import counts, job, jobs
from medsr.jobs.lock import exclusive, hold_instance
from medsr.jobs.migrate import schema_version
from medsr.jobs.results import open_result, result_files
from medsr.jobs.retention import sweep
from medsr.jobs.store import DATABASE, close_store, open_store, reading, writing
from medsr.jobs.tables import gate
from medsr.jobs.tables import job as job_table
from medsr.jobs.watermark import check_room, give_up_ballast, make_ballast, room, trim_wal, wal_bytes
from medsr.resources.failpoints import FailpointError


def test_m03_a_commit_is_on_disk_when_it_returns(sqlite_store):
    """WAL with FULL, asked of the very connections that write."""
    with writing(sqlite_store) as connection:
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("journal_mode", "synchronous")]
    assert found == ["wal", 2]


def test_m03_a_store_that_answers_otherwise_is_not_opened(folder, monkeypatch):
    """The file system or a build may not give what is asked for; opening reads it back."""
    from medsr.jobs import store as module

    def lax(connection, _record):
        connection.isolation_level = None
        connection.execute("PRAGMA synchronous=NORMAL")

    monkeypatch.setattr(module, "_configure", lax)
    with pytest.raises(IntegrityError, match=r"store.pragma"):
        open_store(folder, limits=LIMITS)


@pytest.mark.parametrize("point", ["file.write", "file.fsync", "file.rename"])
def test_f03_a_full_disk_leaves_nothing_partial(store, monkeypatch, point):
    monkeypatch.setenv("MEDSR_FAIL", f"{point}:1:enospc")
    with pytest.raises(OSError, match=r"No space left"):
        upload(store)
    assert [path for path in store.files.root.rglob("*") if path.is_file() and path.suffix == ".part"] == []
    monkeypatch.delenv("MEDSR_FAIL")
    assert upload(store)


@pytest.mark.slow
def test_f03_on_a_full_disk_intake_is_refused_and_the_ballast_lets_a_purge_through():
    """A real file system of 8 MB in a mount namespace of its own, filled to the last block."""
    script = textwrap.dedent("""
        import os, subprocess, sys
        from dataclasses import replace
        from pathlib import Path
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", "/mnt"], check=True)
        from support.stores import LIMITS, queued, upload
        from medsr.errors import Unavailable
        from medsr.jobs.listing import counts
        from medsr.jobs.retention import purge
        from medsr.jobs.store import open_store
        from medsr.jobs.submit import cancel
        from medsr.jobs.watermark import give_up_ballast, make_ballast
        store = open_store(Path("/mnt/store"), limits=replace(LIMITS, ballast_bytes=1 << 20))
        assert make_ballast(store)
        made = cancel(store, queued(store).id, owner=None, actor="x")
        with open("/mnt/filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError:
                pass
        codes = set()
        for number in range(40):
            try:
                queued(store, bytes([number]) * 70000)
            except Unavailable as error:
                codes.add(error.code)
            except OSError as error:
                codes.add(error.errno)
        assert codes and codes <= {"store.full", 28}, codes
        assert purge(store, made.id, actor="x").state == "purged"
        print("done", counts(store)["purged"])
    """)
    paths = [str(Path(__file__).parent.parent), *(str(path) for path in sys.path if path)]
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", script], capture_output=True,
        check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )  # fmt: skip
    if b"unshare:" in done.stderr or b"mount:" in done.stderr:
        pytest.skip("this kernel does not let a process mount in a namespace of its own")
    assert done.stdout.decode() == "done 1\n", done.stderr.decode()[-2000:]


def test_f03_below_the_watermark_intake_stops_and_review_goes_on(folder, time, tmp_path):
    store = open_store(folder, limits=LIMITS, clock=time.clock, random=fake_random())
    queued(store)
    held = run(store, tmp_path / "out")
    close_store(store)
    full = open_store(folder, limits=replace(LIMITS, min_free_fraction=1.0), clock=time.clock, random=fake_random(1))
    object.__setattr__(full, "limits", replace(full.limits, min_free_bytes=room(full).free + (64 << 30)))
    if not room(full).enough:
        with pytest.raises(Unavailable, match=r"store.full"):
            queued(full)
    with pytest.raises(Unavailable, match=r"store.full"):
        check_room(full, coming=room(full).free)
    assert approve(full, held).state == "released"
    close_store(full)


def test_f03_the_ballast_holds_blocks_and_comes_back(sqlite_store):
    path = sqlite_store.folder / "ballast"
    assert make_ballast(sqlite_store)
    assert path.stat().st_blocks * 512 >= LIMITS.ballast_bytes
    assert give_up_ballast(sqlite_store)
    assert not path.exists()
    assert not give_up_ballast(sqlite_store)
    sweep(sqlite_store)
    assert path.is_file()


def approve(store, held):
    return decide(
        store, held.id, reader=READER, identity="A. Reader", verdict="released", reason="compared",
        output_sha256=held.output_sha256, etag=held.etag,
    )  # fmt: skip


def test_f07_a_locked_database_is_waited_for_then_busy(folder, time):
    store = open_store(folder, limits=replace(LIMITS, busy_s=0.2), clock=time.clock, random=fake_random())
    made = queued(store)
    other = sqlite3.connect(folder / DATABASE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match=r"store.busy"):
        claim(store, "w")
    assert job(store, made.id).state == "queued"  # readers go on
    other.execute("ROLLBACK")
    other.close()
    assert claim(store, "w").job_id == made.id
    close_store(store)


def test_f08_a_read_only_database_takes_no_intake_and_can_be_read(folder, time):
    store = open_store(folder, limits=LIMITS, clock=time.clock, random=fake_random())
    made = queued(store)
    with store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only=ON")
    with pytest.raises(Unavailable, match=r"store.read_only"):
        claim(store, "w")
    assert job(store, made.id).state == "queued"
    close_store(store)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("state", "released"),
        ("owner", "other"),
        ("policy_sha256", "0" * 64),
        ("attempts", 0),
        ("output_sha256", "0" * 64),
    ],
)
def test_f09_a_value_changed_in_a_row_is_noticed_where_it_is_read(store, tmp_path, column, value):
    """SQLite's own integrity check passes over such a change."""
    held = held_job(store, tmp_path / "out")
    with writing(store) as connection:
        row = {"job": held.id, "word": "released", "reasons": "[]", "pixels_sha256": "", "policy_sha256": "", "at": 0.0}
        connection.execute(sa.delete(gate))
        for output in (held.output_sha256, "0" * 64):
            connection.execute(sa.insert(gate).values(row | {"output_sha256": output, "row_hash": ""}))
        connection.execute(sa.update(job_table).values({column: value}))
    with pytest.raises(IntegrityError, match=r"store.row"):
        job(store, held.id)
    with pytest.raises(IntegrityError, match=r"store.row"):
        jobs(store)
    assert {fault.kind for fault in check_rows(store)} >= {"job", "gate"}


def test_f09_a_damaged_database_is_not_opened(folder, time):
    store = open_store(folder, limits=LIMITS, clock=time.clock, random=fake_random())
    for number in range(20):
        queued(store, bytes([number]))
    close_store(store)
    path = folder / DATABASE
    data = bytearray(path.read_bytes())
    data[4096:] = b"\x5a" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"store.corrupt"):
        open_store(folder, limits=LIMITS)


def test_f15_rot_in_a_stored_file_is_seen_at_the_next_read_and_never_sent(store, tmp_path):
    queued(store)
    done = run(store, tmp_path / "out", "released")
    assert list(check_files(store)) == []
    image = next(file for file in result_files(store, done.id) if file.kind == "image")
    path = file_path(store.files, image.sha256)
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"store.rot"):
        open_result(store, done, image.name)
    assert [(fault.code, fault.object_id) for fault in check_files(store)] == [("store.rot", image.sha256)]


@pytest.mark.parametrize("point", ["migrate.begin", "migrate.commit"])
def test_f18_a_migration_that_is_cut_leaves_the_old_schema(tmp_path, monkeypatch, point):
    monkeypatch.setenv("MEDSR_FAIL", f"{point}:1:raise")
    with pytest.raises(FailpointError):
        open_store(tmp_path / "store", limits=LIMITS)
    monkeypatch.delenv("MEDSR_FAIL")
    with sqlite3.connect(tmp_path / "store" / DATABASE) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name='job'").fetchone() == (0,)
    connection.close()
    store = open_store(tmp_path / "store", limits=LIMITS)
    assert schema_version(store) == "0001"
    assert queued(store).state == "queued"
    close_store(store)


def test_f18_a_schema_of_a_newer_medsr_is_refused(folder):
    with sqlite3.connect(folder / DATABASE) as connection:
        connection.execute("UPDATE alembic_version SET version_num='9999'")
    connection.close()
    with pytest.raises(UsageError, match=r"store.schema"):
        open_store(folder, limits=LIMITS)
    with pytest.raises(UsageError, match=r"store.schema"):
        open_store(folder, limits=LIMITS, create=False)


def test_the_migrated_schema_is_that_of_the_tables(store):
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    from medsr.jobs.tables import METADATA

    with reading(store) as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_f21_a_second_instance_does_not_start_and_the_first_ones_children_do(folder):
    store = open_store(folder, limits=LIMITS)
    child = open_store(folder, limits=LIMITS)
    with hold_instance(folder):
        with pytest.raises(UsageError, match=r"store.locked"), hold_instance(folder):
            pass
        assert counts(child)["queued"] == 0
    with hold_instance(folder):
        pass
    with pytest.raises(UsageError, match=r"store.locked"), exclusive(folder):
        pass
    close_store(store)
    close_store(child)
    with exclusive(folder), pytest.raises(UsageError, match=r"store.locked"):
        open_store(folder, limits=LIMITS)


def test_f21_the_lock_dies_with_its_holder(folder):
    script = f"""
import pathlib, sys, time
from medsr.jobs.lock import hold_instance
with hold_instance(pathlib.Path({str(folder)!r})):
    print("held", flush=True)
    time.sleep(60)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match=r"store.locked"), hold_instance(folder):
            pass
        holder.kill()
    with hold_instance(folder):
        pass


def test_a_store_that_is_not_there_is_not_made_by_a_reader(tmp_path):
    with pytest.raises(UsageError, match=r"store.none"):
        open_store(tmp_path / "none", create=False)
    assert not (tmp_path / "none").exists()


def test_sqlite_on_a_network_file_system_is_refused(folder, monkeypatch):
    from medsr.jobs import lock

    monkeypatch.setattr(lock, "_file_system", lambda _folder: "nfs4")
    with pytest.raises(UsageError, match=r"store.network"):
        open_store(folder, limits=LIMITS)


def test_the_log_is_cut_back_above_its_limit(folder, time):
    store = open_store(folder, limits=replace(LIMITS, wal_bytes=1000), clock=time.clock, random=fake_random())
    queued(store)
    assert wal_bytes(store) > 1000
    assert trim_wal(store)
    assert wal_bytes(store) == 0
    assert not trim_wal(store)
    close_store(store)


@pytest.mark.parametrize("point", ["publish.files", "publish.commit", "publish.done", "claim.commit", "claim.done"])
def test_f01_a_worker_that_dies_at_any_point_costs_an_attempt_and_no_result(store, time, tmp_path, monkeypatch, point):
    from medsr.jobs.claims import reap

    made = queued(store)
    monkeypatch.setenv("MEDSR_FAIL", f"{point}:1:raise")
    with pytest.raises(FailpointError):
        run(store, tmp_path / "1", "review")
    monkeypatch.delenv("MEDSR_FAIL")
    time.sleep(LIMITS.lease_s + 1)
    reap(store)
    if job(store, made.id).state != "review":
        assert result_files(store, made.id) == ()
        run(store, tmp_path / "2", "review")
    assert job(store, made.id).state == "review"
    assert check_rows(store) == ()
    assert list(check_files(store)) == []


@pytest.mark.parametrize("point", ["decide.file", "decide.commit"])
def test_f01_an_approval_that_dies_before_its_commit_was_not_made(store, tmp_path, monkeypatch, point):
    held = held_job(store, tmp_path / "out")
    monkeypatch.setenv("MEDSR_FAIL", f"{point}:1:raise")
    with pytest.raises(FailpointError):
        approve(store, held)
    monkeypatch.delenv("MEDSR_FAIL")
    assert job(store, held.id) == held
    assert approve(store, held).state == "released"
    assert check_rows(store) == ()


def test_m13_a_held_result_is_not_let_out_by_the_database(tmp_path):
    """The gate's row of a held result has the same hash; its word is what counts. On a store migrated here."""
    store = open_store(tmp_path / "fresh", limits=LIMITS)
    held = held_job(store, tmp_path / "out")
    with pytest.raises(sa.exc.DBAPIError, match=r"released without"), writing(store) as connection:
        connection.execute(sa.update(job_table).where(job_table.c.id == held.id).values(state="released"))
    assert job(store, held.id) == held
    close_store(store)
