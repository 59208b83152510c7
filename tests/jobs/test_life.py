"""The way of a job through the store."""

from __future__ import annotations

import hashlib
import subprocess

import pytest
from support.stores import PINS, READER, SCAN, held_job, queued, release_of, run, upload

from medsr.errors import Conflict, Denied, IntegrityError, NotFound, TransitionError, UsageError
from medsr.jobs import audit
from medsr.jobs.claims import beat, block, cancelled, claim, fail, hand_back, judging, note, reap
from medsr.jobs.decisions import decide, decisions
from medsr.jobs.events import events_after
from medsr.jobs.files import file_path
from medsr.jobs.listing import counts, job, jobs, oldest_queued_s, queue_position, running, typical_s
from medsr.jobs.nouns import JobRequest, Progress
from medsr.jobs.publish import publish
from medsr.jobs.results import open_result, result_file, result_files
from medsr.jobs.submit import cancel, submit, supersede

HALF = Progress("restore", 0.5, 7)


def approve(store, held, **changes):
    asked = {
        "reader": READER, "identity": "A. Reader", "verdict": "released", "reason": "compared with the input",
        "output_sha256": held.output_sha256, "etag": held.etag,
    } | changes  # fmt: skip
    return decide(store, held.id, **asked)


def test_a_job_goes_from_upload_to_release(store, time, tmp_path):
    made = queued(store)
    assert (made.state, made.input_sha256, made.pins) == ("queued", hashlib.sha256(SCAN).hexdigest(), PINS)
    assert queue_position(store, made) == 1
    held = claim(store, "w1")
    assert (held.job.state, held.token, held.job.attempts) == ("running", 1, 1)
    time.sleep(5)
    assert beat(store, held, HALF) == "go_on"
    note(store, held, "finding", {"id": "R4-1"})
    assert judging(store, held).state == "judging"
    done = publish(store, held, release_of(tmp_path / "out", "released"), label="UNVERIFIED", summary={"findings": 0})
    assert (done.state, done.verdict, done.label, done.summary) == (
        "released",
        "released",
        "UNVERIFIED",
        {"findings": 0},
    )
    assert job(store, made.id) == done
    kinds = [(event.seq, event.kind, event.data.get("state")) for event in events_after(store, made.id)]
    assert kinds == [
        (1, "state", "queued"), (2, "state", "running"), (3, "progress", None), (4, "finding", None),
        (5, "state", "judging"), (6, "state", "released"),
    ]  # fmt: skip
    assert [event.seq for event in events_after(store, made.id, 4)] == [5, 6]
    assert [entry.deed for entry in audit.entries(store)] == ["input", "submit", "publish"]
    assert typical_s(store) == 5


def test_held_and_released_files_have_one_name_and_one_hash(store, tmp_path):
    held = held_job(store, tmp_path / "out")
    before = {(file.name, file.sha256) for file in result_files(store, held.id)}
    assert {name for name, _ in before} == {
        "report.json", "report.html", "made_restored.nii.gz", "made_restored.medsr.json",
    }  # fmt: skip
    approved = approve(store, held)
    after = {(file.name, file.sha256) for file in result_files(store, held.id)}
    assert (approved.state, approved.output_sha256) == ("released", held.output_sha256)
    assert before < after
    assert {name for name, _ in after - before} == {"release.json"}


def test_the_output_hash_is_what_sha256sum_prints(store, tmp_path):
    held = held_job(store, tmp_path / "out")
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in result_files(store, held.id):
        (folder / file.name).write_bytes(file_path(store.files, file.sha256).read_bytes())
    names = sorted(path.name for path in folder.iterdir())
    listed = subprocess.run(["sha256sum", *names], cwd=folder, capture_output=True, check=True).stdout
    assert hashlib.sha256(listed).hexdigest() == held.output_sha256


def test_what_may_be_read_follows_the_state(store, tmp_path):
    held = held_job(store, tmp_path / "out")
    assert result_file(store, held, "report.html").kind == "report"
    with pytest.raises(Conflict, match=r"result.not_released"):
        result_file(store, held, "made_restored.nii.gz")
    assert result_file(store, held, "made_restored.nii.gz", reader=True).bytes == len(b"pixels")
    released = approve(store, held)
    file, stream = open_result(store, released, "made_restored.nii.gz")
    with stream:
        assert stream.read() == b"pixels"
    assert file.kind == "image"
    withdrawn = approve(store, released, verdict="withdrawn")
    with pytest.raises(NotFound, match=r"result.gone"):
        result_file(store, withdrawn, "made_restored.nii.gz", reader=True)
    assert [made.verdict for made in decisions(store, held.id)] == ["released", "withdrawn"]
    with pytest.raises(NotFound, match=r"result.none"):
        result_file(store, withdrawn, "other.nii.gz")


def test_a_rejected_result_is_read_by_nobody(store, tmp_path):
    rejected = approve(store, held_job(store, tmp_path / "out"), verdict="rejected")
    with pytest.raises(Denied, match=r"result.rejected"):
        result_file(store, rejected, "made_restored.nii.gz", reader=True)


def test_jobs_are_claimed_by_priority_then_age(store, time):
    first = queued(store, b"1")
    time.sleep(1)
    second = queued(store, b"2")
    time.sleep(1)
    urgent = queued(store, b"3", priority=5)
    assert [queue_position(store, made) for made in (first, second, urgent)] == [2, 3, 1]
    assert [claim(store, "w").job_id for _ in range(3)] == [urgent.id, first.id, second.id]
    assert claim(store, "w") is None
    assert [made.id for made in running(store)] == [first.id, second.id, urgent.id]
    assert oldest_queued_s(store) == 0


def test_pages_hold_every_job_once_newest_first(store, time):
    made = []
    for number in range(7):
        made.append(queued(store, str(number).encode(), owner="ward" if number % 2 else "lab").id)
        time.sleep(number % 2)  # pairs share a time: the id decides between them
    found, cursor = [], None
    while True:
        page = jobs(store, limit=3, cursor=cursor)
        found += [item.id for item in page.items]
        if page.next is None:
            break
        cursor = page.next
    assert sorted(found) == sorted(made)
    assert [item.id for item in jobs(store, owner="ward").items] == [item for item in found if item in set(made[1::2])]
    assert jobs(store, states=("running",)).items == ()
    assert counts(store)["queued"] == 7
    assert counts(store, owner="lab") | {"queued": 0} == dict.fromkeys(counts(store), 0)


@pytest.mark.parametrize("cursor", ["x", "", "e30=", "WzEsMl0="])
def test_a_made_up_cursor_is_refused(store, cursor):
    with pytest.raises(UsageError, match=r"job.cursor"):
        jobs(store, cursor=cursor)
    with pytest.raises(UsageError, match=r"job.limit"):
        jobs(store, limit=201)


def test_a29_foreign_jobs_and_inputs_are_not_there(store):
    made = queued(store, owner="ward")
    with pytest.raises(NotFound, match=r"job.none"):
        job(store, made.id, owner="other")
    with pytest.raises(NotFound, match=r"job.none"):
        cancel(store, made.id, owner="other", actor="other")
    with pytest.raises(NotFound, match=r"input.none"):
        submit(store, owner="other", request=JobRequest(), input_sha256=made.input_sha256, pins=PINS)


def test_a_waiting_job_is_cancelled_at_once_a_running_one_at_its_next_heartbeat(store, tmp_path):
    waiting = queued(store, b"1")
    assert cancel(store, waiting.id, owner="ward", actor="ward").state == "cancelled"
    queued(store, b"2")
    held = claim(store, "w")
    assert cancel(store, held.job_id, owner="ward", actor="ward").state == "running"
    assert beat(store, held, HALF) == "cancel"
    assert cancelled(store, held).state == "cancelled"
    assert beat(store, held, HALF) == "lost"
    with pytest.raises(TransitionError, match=r"job.transition"):
        cancel(store, held.job_id, owner="ward", actor="ward")


def test_a_job_cancelled_while_it_is_judged_shows_no_result(store, tmp_path):
    queued(store)
    held = claim(store, "w")
    judging(store, held)
    cancel(store, held.job_id, owner="ward", actor="ward")
    done = publish(store, held, release_of(tmp_path / "out", "released"))
    assert (done.state, done.output_sha256) == ("cancelled", None)
    assert result_files(store, done.id) == ()


def test_a_refusal_of_the_input_ends_the_job_with_its_code(store):
    queued(store)
    done = fail(store, claim(store, "w"), "geometry.missing_slice")
    assert (done.state, done.reason, done.worker) == ("failed", "geometry.missing_slice", None)
    assert reap(store) == 0


def test_what_is_handed_back_has_not_used_an_attempt(store):
    queued(store)
    for _ in range(5):
        held = claim(store, "w")
        assert hand_back(store, held).attempts == 0
    with pytest.raises(Conflict, match=r"job.lost"):
        hand_back(store, held)


def test_a_newer_version_retires_the_old_one(store, tmp_path):
    old = held_job(store, tmp_path / "out")
    newer = queued(store, b"with late slices")
    retired = supersede(store, old.id, by=newer.id)
    assert (retired.state, retired.superseded_by) == ("superseded", newer.id)
    with pytest.raises(NotFound, match=r"result.gone"):
        result_file(store, retired, "made_restored.nii.gz", reader=True)


def test_f17_a_result_under_another_policy_than_the_pinned_one_is_blocked(store, tmp_path):
    queued(store)
    held = claim(store, "w")
    judging(store, held)
    object.__setattr__(made := release_of(tmp_path / "out", "released"), "policy_sha256", "e" * 64)
    done = publish(store, held, made)
    assert (done.state, done.reason, result_files(store, done.id)) == ("blocked", "job.pins", ())


def test_f17_a_worker_that_finds_its_pins_gone_blocks_the_job(store):
    queued(store)
    assert block(store, claim(store, "w"), "job.pins").state == "blocked"


def test_only_a_release_is_published(store, tmp_path):
    queued(store)
    held = claim(store, "w")
    judging(store, held)
    with pytest.raises(IntegrityError, match=r"release.forged"):
        publish(store, held, object())


def test_a_file_that_changed_since_it_was_judged_is_not_published(store, tmp_path):
    queued(store)
    held = claim(store, "w")
    judging(store, held)
    made = release_of(tmp_path / "out", "released")
    (tmp_path / "out" / "made_restored.nii.gz").write_bytes(b"pixelz")
    with pytest.raises(IntegrityError, match=r"store.hash"):
        publish(store, held, made)
    assert job(store, held.job_id).state == "judging"


@pytest.mark.parametrize("word", ["released", "review", "rejected", "blocked"])
def test_the_job_has_the_gates_word(store, tmp_path, word):
    queued(store)
    assert run(store, tmp_path / "out", word).state == word


def test_an_upload_is_known_the_second_time(store):
    assert upload(store) == upload(store)
