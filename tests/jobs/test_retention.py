"""What is erased is gone, what must stay stays, and nothing is removed that anybody still needs."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import sqlalchemy as sa
from support.stores import LIMITS, READER, held_job, queued, release_of, run, upload

from medsr.errors import Conflict, NotFound, TransitionError
from medsr.jobs import audit
from medsr.jobs.claims import claim, judging, note, reap
from medsr.jobs.decisions import decide, decisions
from medsr.jobs.events import events_after
from medsr.jobs.files import file_path, has_file, keep
from medsr.jobs.inputs import input_of, set_study
from medsr.jobs.listing import job
from medsr.jobs.publish import publish
from medsr.jobs.results import result_file, result_files
from medsr.jobs.retention import purge, purge_input, purge_study, sweep
from medsr.jobs.stages import open_stage, save_stage
from medsr.jobs.store import writing
from medsr.jobs.sweeping import remove_purged
from medsr.jobs.tables import outbox
from medsr.resources.failpoints import FailpointError


def files_of(store):
    return {path.name for path in (store.folder / "sha256").rglob("*") if path.is_file()}


def released(store, tmp_path):
    held = held_job(store, tmp_path / "out")
    return decide(
        store, held.id, reader=READER, identity="A. Reader", verdict="released", reason="as Mr. Doe wished",
        output_sha256=held.output_sha256, etag=held.etag,
    )  # fmt: skip


def test_a_purge_leaves_hashes_and_audit_alone(store, tmp_path):
    done = released(store, tmp_path)
    hashes = {file.name: file.sha256 for file in result_files(store, done.id)}
    gone = purge(store, done.id, actor="admin")
    assert (gone.state, gone.output_sha256, gone.summary) == ("purged", done.output_sha256, {})
    assert files_of(store) == set()
    assert {file.name: file.sha256 for file in result_files(store, done.id)} == hashes
    assert not any(file.kept for file in result_files(store, done.id))
    with pytest.raises(NotFound, match=r"result.gone"):
        result_file(store, gone, "report.json", reader=True)
    assert [(made.verdict, made.identity, made.reason) for made in decisions(store, done.id)] == [
        ("released", "A. Reader", "")
    ]
    assert audit.verify(store).seq == len(audit.entries(store))
    assert audit.entries(store)[-1].data["output_sha256"] == done.output_sha256
    with pytest.raises(NotFound, match=r"input.none"):
        input_of(store, done.input_sha256, owner="ward")
    with pytest.raises(TransitionError):
        purge(store, done.id, actor="admin")


@pytest.mark.parametrize("how", ["purge", "study", "age"])
def test_the_pages_view_goes_with_its_job(store, tmp_path, time, how):
    made, view = queued(store), tmp_path / "view"
    view.write_bytes(b"slices for the page")
    held = claim(store, "w")
    judging(store, held)
    publish(store, held, release_of(tmp_path / "out"), view=view)
    [kept] = [file for file in result_files(store, made.id) if file.kind == "view"]
    assert has_file(store.files, kept.sha256)
    if how == "purge":
        purge(store, made.id, actor="admin")
    elif how == "study":
        set_study(store, made.input_sha256, "1.2.3")
        purge_study(store, "1.2.3", actor="admin")
    else:
        time.sleep(LIMITS.keep_s["review"] + 1)
        sweep(store)
    assert files_of(store) == set()
    assert [file.kept for file in result_files(store, made.id) if file.kind == "view"] == [False]


def test_a_purge_keeps_equal_bytes_of_another_job(store, tmp_path):
    first, second = (queued(store).id for _ in range(2))
    run(store, tmp_path / "1", "released")
    run(store, tmp_path / "2", "released")
    purge(store, first, actor="admin")
    kept = job(store, second)
    assert all(has_file(store.files, file.sha256) for file in result_files(store, second))
    assert input_of(store, kept.input_sha256, owner="ward").bytes > 0
    purge(store, second, actor="admin")
    assert files_of(store) == set()


def test_what_runs_or_waits_is_not_purged(store):
    made = queued(store)
    with pytest.raises(TransitionError, match=r"job.transition"):
        purge(store, made.id, actor="admin")


def test_m27_what_is_still_to_be_sent_is_not_purged(store, tmp_path, time):
    queued(store)
    held = claim(store, "w")
    judging(store, held)
    done = publish(store, held, release_of(tmp_path / "out", "released"), destinations=("pacs",))
    with pytest.raises(Conflict, match=r"purge.outbox"):
        purge(store, done.id, actor="admin")
    time.sleep(LIMITS.keep_s["released"] + 1)
    assert sweep(store).jobs == 0
    assert all(has_file(store.files, file.sha256) for file in result_files(store, done.id))
    with writing(store) as connection:
        connection.execute(sa.update(outbox).values(state="delivered"))
    assert sweep(store).jobs == 1
    assert files_of(store) == set()


def test_a_study_is_erased_with_all_its_jobs(store, tmp_path):
    done = released(store, tmp_path)
    waits = queued(store)
    other = queued(store, b"of another patient")
    set_study(store, done.input_sha256, "1.2.3")
    set_study(store, other.input_sha256, "1.2.4")
    report = purge_study(store, "1.2.3 ", actor="admin")
    assert (set(report.jobs), report.waiting) == ({done.id, waits.id}, ())
    assert job(store, other.id).state == "queued"
    assert files_of(store) == {other.input_sha256}
    assert b"1.2.3" not in b"".join(path.read_bytes() for path in store.folder.glob("*.sqlite*"))


def test_a_running_job_of_an_erased_study_is_stopped_and_named(store, tmp_path, time):
    made = queued(store)
    claim(store, "w")
    set_study(store, made.input_sha256, "1.2.3")
    assert purge_study(store, "1.2.3", actor="admin").waiting == (made.id,)
    time.sleep(LIMITS.lease_s + 1)
    reap(store)
    assert purge_study(store, "1.2.3", actor="admin").jobs == (made.id,)
    assert files_of(store) == set()


def test_an_upload_without_a_job_is_erased_one_with_a_job_is_not(store):
    sha256 = upload(store)
    purge_input(store, sha256, owner="ward", actor="ward")
    assert files_of(store) == set()
    made = queued(store)
    with pytest.raises(Conflict, match=r"purge.used"):
        purge_input(store, made.input_sha256, owner="ward", actor="ward")
    with pytest.raises(NotFound, match=r"input.none"):
        purge_input(store, made.input_sha256, owner="other", actor="other")


def test_findings_are_erased_with_the_job(store, tmp_path):
    queued(store)
    held = claim(store, "w")
    note(store, held, "finding", {"id": "R4-1"})
    judging(store, held)
    done = publish(store, held, release_of(tmp_path / "out", "rejected"), summary={"findings": 1})
    purge(store, done.id, actor="admin")
    assert {event.kind for event in events_after(store, done.id)} == {"state"}


@pytest.mark.parametrize("point", ["purge.commit", "purge.unlink"])
def test_f01_a_purge_that_is_killed_is_finished_or_not_begun(store, tmp_path, monkeypatch, point):
    done = released(store, tmp_path)
    monkeypatch.setenv("MEDSR_FAIL", f"{point}:1:raise")
    with pytest.raises(FailpointError):
        purge(store, done.id, actor="admin")
    monkeypatch.delenv("MEDSR_FAIL")
    if job(store, done.id).state == "purged":
        assert remove_purged(store) > 0
    else:
        purge(store, done.id, actor="admin")
    assert files_of(store) == set()


def test_a_sweep_purges_by_state_and_age(store, tmp_path, time):
    done = released(store, tmp_path)
    time.sleep(LIMITS.keep_s["released"] - 10)
    assert sweep(store).jobs == 0
    time.sleep(20)
    assert sweep(store).jobs == 1
    assert job(store, done.id).state == "purged"


def test_a_sweep_removes_what_no_row_names_once_it_is_a_day_old(store, time):
    made = queued(store)
    stray = keep(store.files, [b"left by a lost claim"])
    part = store.files.incoming / "x.part"
    part.write_bytes(b"left by a kill")
    for path in (file_path(store.files, stray.sha256), part, file_path(store.files, made.input_sha256)):
        os.utime(path, (time.wall, time.wall))
    assert sweep(store).files == 0
    time.sleep(LIMITS.unreferenced_s + 1)
    assert sweep(store).files == 2
    assert files_of(store) == {made.input_sha256}


def test_a_stage_is_found_by_what_it_was_made_of_until_it_is_a_day_old_or_rots(store, tmp_path, time):
    made = queued(store)
    path = tmp_path / "restored.npz"
    path.write_bytes(b"restored pixels")
    assert open_stage(store, made, "restored.npz") is None
    save_stage(store, made, "restored.npz", path)
    with open_stage(store, queued(store), "restored.npz") as stream:
        assert stream.read() == b"restored pixels"
    other = replace(made, request=replace(made.request, parameters={"task": "superres"}))
    assert open_stage(store, other, "restored.npz") is None
    time.sleep(LIMITS.unreferenced_s + 1)
    assert sweep(store).stages == 1
    assert files_of(store) == {made.input_sha256}
    save_stage(store, made, "restored.npz", path)
    next(found for found in (store.folder / "sha256").rglob("*") if found.is_file() and found.name != made.input_sha256
         ).write_bytes(b"rotten")  # fmt: skip
    assert open_stage(store, made, "restored.npz") is None
