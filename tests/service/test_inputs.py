"""Uploads over HTTP: streamed, counted, hashed; nothing partial is kept."""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
import time as clock

import pytest
from support.serving import nothing_left, problem, served
from support.stores import SCAN

from medsr.jobs.files import file_path, has_file
from medsr.service.api import ApiSettings

SHA = hashlib.sha256(SCAN).hexdigest()


def digest(data: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


def test_an_upload_is_stored_under_its_hash_and_known_the_second_time(api, store):
    client = api.client("submit")
    first = client.post("/v1/inputs", content=SCAN, headers={"Repr-Digest": digest(SCAN)})
    assert (first.status_code, first.headers["location"], first.json()["sha256"]) == (201, f"/v1/inputs/{SHA}", SHA)
    assert file_path(store.files, SHA).read_bytes() == SCAN
    assert client.post("/v1/inputs", content=SCAN).status_code == 200
    assert client.get(f"/v1/inputs/{SHA}").json() == first.json()
    assert nothing_left(store)


def test_a_body_of_unknown_length_is_taken(api):
    """Chunked transfer: nothing declares the length before."""
    answer = api.client("submit").post("/v1/inputs", content=iter([b"a" * 70_000] * 40))
    assert (answer.status_code, answer.json()["bytes"]) == (201, 2_800_000)


def test_bytes_that_changed_on_the_way_are_refused_and_gone(api, store):
    answer = api.client("submit").post("/v1/inputs", content=SCAN, headers={"Repr-Digest": digest(b"other")})
    problem(answer, 422, "input.digest")
    assert not has_file(store.files, SHA)
    assert nothing_left(store)


@pytest.mark.parametrize("header", ["sha-256=abc", "md5=:AAAA:", "sha-256=:AAAA:", "sha-256=:A:", "-"])
def test_a_digest_that_cannot_be_read_is_no_promise(api, header):
    answer = api.client("submit").post("/v1/inputs", content=SCAN, headers={"Repr-Digest": header})
    problem(answer, 400, "input.digest_form")


def test_an_empty_body_is_refused(api):
    problem(api.client("submit").post("/v1/inputs", content=b""), 422, "io.empty")


@pytest.mark.parametrize("chunked", [False, True])
def test_a26_a_body_over_the_limit_ends_at_the_limit_and_leaves_nothing(store, chunked):
    """Declared or not: 413, and the store holds no part of it."""
    with served(store, ApiSettings(max_upload_bytes=1 << 20)) as api:
        data = iter([bytes(1 << 16)] * 64) if chunked else bytes(4 << 20)
        problem(api.client("submit").post("/v1/inputs", content=data), 413, "http.too_large")
    assert nothing_left(store)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content-Type": "multipart/form-data; boundary=x"}, "http.media_type"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "http.media_type"),
        ({"Content-Encoding": "gzip"}, "http.encoding"),
    ],
)
def test_a28_forms_and_encodings_are_not_unpacked(api, headers, code):
    problem(api.client("submit").post("/v1/inputs", content=b"x" * 100, headers=headers), 415, code)


def test_f03_below_the_watermark_intake_is_refused_before_a_byte_is_read(store, monkeypatch):
    """The body never ends: an answer shows that nobody waited for it."""
    monkeypatch.setattr("medsr.jobs.watermark.os.statvfs", _full_disk)
    with served(store) as api:
        key = api.key("submit")
        head = f"POST /v1/inputs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Length: 999999\r\n\r\n"
        port = int(api.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=5) as one:
            one.sendall(head.encode())
            answer = one.recv(65536)
            while b"store.full" not in answer and (more := one.recv(65536)):  # head and body may come apart
                answer += more
        assert answer.startswith(b"HTTP/1.1 507")
        assert b"store.full" in answer
        assert api.client().get("/healthz").status_code == 200


def _full_disk(_):
    class Found:
        f_blocks, f_frsize, f_bavail = 1000, 1, 0

    return Found()


def test_a30_nobody_s_body_is_read_before_the_key_is_known(api, store):
    port = int(api.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as one:
        one.sendall(b"POST /v1/inputs HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc")
        assert one.recv(65536).startswith(b"HTTP/1.1 401")
    assert nothing_left(store)


def test_a27_a_body_that_dribbles_is_cut_off(store):
    """A byte now and then keeps no connection: 408 once the grace is used up."""
    with served(store, ApiSettings(body_grace_s=0.5, body_bytes_per_s=64_000)) as api:
        key = api.key("submit")
        port = int(api.url.rpartition(":")[2])
        head = f"POST /v1/inputs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Length: 9999\r\n\r\n"
        started = clock.monotonic()
        with socket.create_connection(("127.0.0.1", port), timeout=5) as one:
            one.sendall(head.encode())
            stop = threading.Event()
            feeder = threading.Thread(target=_feed, args=(one, stop))
            feeder.start()
            answer = one.recv(65536)
            stop.set()
            feeder.join()
        assert answer.startswith(b"HTTP/1.1 408")
        assert clock.monotonic() - started < 3
    assert nothing_left(store)


def _feed(one: socket.socket, stop: threading.Event) -> None:
    while not stop.wait(0.1):
        try:
            one.sendall(b"x")
        except OSError:
            return


def test_a_connection_that_breaks_leaves_nothing(api, store):
    key = api.key("submit")
    port = int(api.url.rpartition(":")[2])
    head = f"POST /v1/inputs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Length: 9999999\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=5) as one:
        one.sendall(head.encode() + bytes(3 << 20))
    deadline = clock.monotonic() + 5
    while not nothing_left(store):
        assert clock.monotonic() < deadline
        clock.sleep(0.02)


def test_a29_an_input_of_somebody_else_is_not_there(api):
    api.client("submit", owner="ward").post("/v1/inputs", content=SCAN)
    problem(api.client("submit", owner="other").get(f"/v1/inputs/{SHA}"), 404, "input.none")


def test_a_key_has_its_uploads_at_a_time(store):
    with served(store, ApiSettings(uploads_per_key=1)) as api:
        key = api.key("submit", owner="ward")
        port = int(api.url.rpartition(":")[2])
        head = f"POST /v1/inputs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Length: 9999\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=5) as one:
            one.sendall(head.encode() + b"first")
            deadline = clock.monotonic() + 5
            while nothing_left(store):
                assert clock.monotonic() < deadline
                clock.sleep(0.01)
            client = api.client("submit")
            client.headers["Authorization"] = f"Bearer {key}"
            answer = client.post("/v1/inputs", content=SCAN)
            problem(answer, 429, "input.uploads")
            assert int(answer.headers["retry-after"]) > 0
