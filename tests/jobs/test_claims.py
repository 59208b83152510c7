"""A claim is one worker's, ends without heartbeats, and its effects are fenced."""

from __future__ import annotations

import threading

import pytest
from support.stores import LIMITS, fake_random, queued, release_of

from medsr.errors import Conflict
from medsr.jobs.claims import beat, claim, fail, hand_back, judging, note, reap
from medsr.jobs.events import events_after
from medsr.jobs.listing import job
from medsr.jobs.nouns import Progress
from medsr.jobs.publish import publish
from medsr.jobs.results import result_files
from medsr.jobs.store import close_store, open_store

STEP = Progress("restore", 0.2, 1)


def test_m06_a_claim_without_heartbeats_ends_and_the_job_waits_again(store, time):
    made = queued(store)
    held = claim(store, "dies")
    time.sleep(LIMITS.lease_s - 1)
    assert reap(store) == 0
    time.sleep(2)
    assert reap(store) == 1
    again = job(store, made.id)
    assert (again.state, again.token, again.attempts, again.worker) == ("queued", 1, 1, None)
    assert claim(store, "other").token == held.token + 1


def test_heartbeats_keep_a_claim(store, time):
    queued(store)
    held = claim(store, "w")
    for _ in range(10):
        time.sleep(LIMITS.lease_s / 4)
        assert beat(store, held, STEP) == "go_on"
        assert reap(store) == 0


def test_f11_m22_a_poison_job_fails_after_the_third_attempt_whatever_restarts_between(folder, time, url):
    """The count stands in the row: stopping and starting everything does not begin it anew."""
    for attempt in (1, 2, 3):
        store = open_store(folder, url=url, limits=LIMITS, clock=time.clock, random=fake_random(attempt))
        if attempt == 1:
            made = queued(store)
        assert claim(store, "killed").job.attempts == attempt
        time.sleep(LIMITS.lease_s + 1)
        assert reap(store) == 1
        done = job(store, made.id)
        close_store(store)
    assert (done.state, done.reason) == ("failed", "job.attempts")


def test_f16_m07_a_zombie_is_refused_by_its_token_in_every_deed(store, time, tmp_path):
    """Stopped past its lease and woken at publish, while the next owner judges the very same job."""
    queued(store)
    zombie = claim(store, "sleeper")
    judging(store, zombie)
    time.sleep(LIMITS.lease_s + 1)
    reap(store)
    owner = claim(store, "owner")
    judging(store, owner)
    for deed in (
        lambda: publish(store, zombie, release_of(tmp_path / "zombie", "released", image=b"stale")),
        lambda: hand_back(store, zombie),
        lambda: fail(store, zombie, "io.empty"),
        lambda: note(store, zombie, "finding", {}),
    ):
        with pytest.raises(Conflict, match=r"job.lost"):
            deed()
    assert beat(store, zombie, STEP) == "lost"
    assert job(store, owner.job_id).state == "judging"
    done = publish(store, owner, release_of(tmp_path / "owner", "released", image=b"fresh"))
    assert (done.state, done.token) == ("released", owner.token)
    assert {file.bytes for file in result_files(store, done.id) if file.kind == "image"} == {len(b"fresh")}


def test_m08_a_result_is_published_once(store, tmp_path):
    """The answer to the first publication was lost, and the worker tries again."""
    queued(store)
    held = claim(store, "w")
    judging(store, held)
    done = publish(store, held, release_of(tmp_path / "one", "review"))
    with pytest.raises(Conflict, match=r"job.lost"):
        publish(store, held, release_of(tmp_path / "two", "review", image=b"other"))
    assert job(store, held.job_id) == done
    assert [event.data.get("state") for event in events_after(store, done.id)].count("review") == 1


def test_a_job_that_is_not_judged_yet_cannot_be_published(store, tmp_path):
    queued(store)
    held = claim(store, "w")
    with pytest.raises(Conflict, match=r"job.lost"):
        publish(store, held, release_of(tmp_path / "out", "released"))
    assert job(store, held.job_id).state == "running"


def test_f14_wall_clock_jumps_of_an_hour_end_no_claim_and_keep_none(store, time):
    queued(store)
    held = claim(store, "w")
    for jump in (3600, -7200):
        time.wall += jump
        assert reap(store) == 0
        assert beat(store, held, STEP) == "go_on"
    time.steady += LIMITS.lease_s + 1
    assert reap(store) == 1


def test_f14_a_claim_of_before_a_reboot_has_ended(store, time):
    """The steady clock starts anew: its old figures say nothing."""
    queued(store)
    claim(store, "w")
    time.epoch, time.steady = "second boot", 3.0
    assert reap(store) == 1


def test_no_two_of_many_workers_get_one_job(folder, time, url):
    stores = [open_store(folder, url=url, limits=LIMITS, clock=time.clock, random=fake_random(n)) for n in range(4)]
    wanted = {queued(stores[0], bytes([number])).id for number in range(12)}
    got, lock = [], threading.Lock()

    def work(own):
        while (held := claim(own, "w")) is not None:
            with lock:
                got.append(held.job_id)

    threads = [threading.Thread(target=work, args=(own,)) for own in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for own in stores:
        close_store(own)
    assert sorted(got) == sorted(wanted)


def test_a_cancelled_job_whose_worker_died_is_cancelled_not_run_again(store, time):
    from medsr.jobs.submit import cancel

    made = queued(store)
    claim(store, "dies")
    cancel(store, made.id, owner="ward", actor="ward")
    time.sleep(LIMITS.lease_s + 1)
    reap(store)
    assert job(store, made.id).state == "cancelled"
