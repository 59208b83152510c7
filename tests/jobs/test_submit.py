"""One request, one job; limits of the queue."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from support.stores import LIMITS, PINS, fake_random, queued, upload

from medsr.errors import Conflict, NotFound, Unavailable, UsageError
from medsr.jobs import idempotency
from medsr.jobs.files import FileStore, keep
from medsr.jobs.listing import counts, job
from medsr.jobs.nouns import IdempotencyKey, JobRequest
from medsr.jobs.store import close_store, open_store, writing
from medsr.jobs.submit import submit

KEY = IdempotencyKey("one", "f" * 64)


def ask(store, sha256, *, key=KEY, owner="ward"):
    return submit(store, owner=owner, request=JobRequest({"task": "denoise"}), input_sha256=sha256, pins=PINS, key=key)


def test_f12_the_same_request_is_one_job(store):
    sha256 = upload(store)
    made = ask(store, sha256)
    assert all(ask(store, sha256) == made for _ in range(20))
    assert counts(store)["queued"] == 1
    assert job(store, made.id) == made


def test_f12_many_clients_at_once_make_one_job(folder, time, url):
    stores = [open_store(folder, url=url, limits=LIMITS, clock=time.clock, random=fake_random(n)) for n in range(4)]
    sha256, got = upload(stores[0]), set()

    def work(own):
        for _ in range(5):
            got.add(ask(own, sha256).id)

    threads = [threading.Thread(target=work, args=(own,)) for own in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = counts(stores[0])["queued"]
    for own in stores:
        close_store(own)
    assert (len(got), made) == (1, 1)


def test_a33_a_known_key_with_another_body_is_refused(store):
    sha256 = upload(store)
    ask(store, sha256)
    with pytest.raises(Conflict, match=r"job.idempotency"):
        ask(store, sha256, key=replace(KEY, body_sha256="e" * 64))


def test_keys_are_each_owners_own_and_forgotten_after_a_day(store, time):
    sha256 = upload(store)
    first = ask(store, sha256)
    upload(store, owner="other")
    assert ask(store, sha256, owner="other").id != first.id
    time.sleep(LIMITS.idempotency_s + 1)
    with writing(store) as connection:
        assert idempotency.forget_old(connection, store) == 2
    assert ask(store, sha256).id != first.id


@pytest.mark.parametrize("name", ["", "x" * 256, "a\nb"])
def test_a_key_that_is_no_name_is_refused(store, name):
    with pytest.raises(UsageError, match=r"job.idempotency_name"):
        ask(store, upload(store), key=replace(KEY, name=name))


def test_a_full_queue_refuses_and_says_whose_it_is(folder, time):
    limits = replace(LIMITS, most_queued=3, most_queued_by_owner=2)
    store = open_store(folder, limits=limits, clock=time.clock, random=fake_random())
    queued(store)
    queued(store)
    with pytest.raises(Unavailable, match=r"job.owner_full"):
        queued(store)
    queued(store, owner="other")
    with pytest.raises(Unavailable, match=r"job.queue_full"):
        queued(store, owner="third")
    close_store(store)


def test_a_validation_needs_both_inputs(store):
    sha256 = upload(store)
    request = JobRequest(kind="validate", candidate_sha256="0" * 64)
    with pytest.raises(NotFound, match=r"input.none"):
        submit(store, owner="ward", request=request, input_sha256=sha256, pins=PINS)
    candidate = upload(store, b"candidate")
    made = submit(
        store, owner="ward", request=replace(request, candidate_sha256=candidate), input_sha256=sha256, pins=PINS
    )
    assert job(store, made.id).request == replace(request, candidate_sha256=candidate)


def test_m04_the_row_of_an_upload_is_written_after_its_file(store):
    """A row without its file would be an acknowledged upload that is lost."""
    from medsr.errors import IntegrityError
    from medsr.jobs.files import Kept
    from medsr.jobs.inputs import add_input, input_of

    with pytest.raises(IntegrityError, match=r"store.hash"):
        add_input(store, Kept("0" * 64, 5), owner="ward", kind="nifti")
    with pytest.raises(NotFound):
        input_of(store, "0" * 64, owner="ward")


def test_an_upload_that_breaks_off_or_grows_too_large_leaves_nothing(store):
    from medsr.errors import IntegrityError, Refusal

    for code, chunks, wanted, limit in (
        (Refusal, [b"1234", b"5678"], None, 7),
        (IntegrityError, [b"1234"], "0" * 64, None),
    ):
        with pytest.raises(code):
            keep(store.files, chunks, wanted=wanted, limit=limit)

    def broken_off():
        yield b"12"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        keep(store.files, broken_off())
    assert list(FileStore(store.folder).incoming.iterdir()) == []
    assert [path for path in (store.folder / "sha256").rglob("*") if path.is_file()] == []
