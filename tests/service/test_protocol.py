"""The socket: a header has its deadline, an address its share (A27)."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from medsr.service.api.protocol import guarded
from medsr.service.api.settings import ApiSettings

HEADER_S, PER_ADDRESS = 0.6, 20


async def _app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server with short deadlines."""
    settings = ApiSettings(header_seconds=HEADER_S, connections_per_address=PER_ADDRESS)
    config = uvicorn.Config(
        _app, host="127.0.0.1", port=0, http=guarded(settings), ws="none", lifespan="off", log_config=None
    )
    server = uvicorn.Server(config)
    listener = config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()
    listener.close()


def opened(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def answer(port: int, text: bytes = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") -> bytes:
    with opened(port) as one:
        one.sendall(text)
        return everything(one)


def everything(one: socket.socket) -> bytes:
    found = b""
    try:
        while piece := one.recv(65536):
            found += piece
    except ConnectionResetError:
        pass
    return found


def test_a27_slow_headers_are_closed_at_the_deadline_however_often_a_byte_comes(port: int) -> None:
    """Each dribbles a byte every 0.1 s: no silence is long, the header is never whole."""
    slow = [opened(port) for _ in range(15)]
    started = time.monotonic()
    for one in slow:
        one.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-")
    alive = list(slow)
    while alive and time.monotonic() - started < 5:
        time.sleep(0.1)
        assert answer(port).startswith(b"HTTP/1.1 200"), "an honest request beside them"
        for one in list(alive):
            try:
                one.sendall(b"a")
            except OSError:
                alive.remove(one)
    for one in slow:
        one.close()
    assert alive == []
    assert time.monotonic() - started < HEADER_S + 2


def test_a27_a_silent_connection_is_closed_too(port: int) -> None:
    with opened(port) as one:
        started = time.monotonic()
        with contextlib.suppress(ConnectionResetError):
            assert one.recv(1) == b""
        assert time.monotonic() - started < HEADER_S + 2


def test_a27_an_address_has_its_share_and_gets_it_back(port: int) -> None:
    """The connection over the cap is answered at once with a problem; closed ones count no more."""
    held = [opened(port) for _ in range(PER_ADDRESS)]
    time.sleep(0.1)
    over = answer(port)
    assert over.startswith(b"HTTP/1.1 503")
    head, _, body = over.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert json.loads(body)["type"] == "urn:medsr:http.connections"
    for one in held:
        one.close()
    deadline = time.monotonic() + 3
    while not answer(port).startswith(b"HTTP/1.1 200"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_bytes_that_are_no_http_get_a_problem(port: int) -> None:
    found = answer(port, b"\x16\x03\x01 nonsense \r\n\r\n")
    assert found.startswith(b"HTTP/1.1 400")
    assert json.loads(found.partition(b"\r\n\r\n")[2])["code"] == "http.malformed"


def test_a_kept_connection_serves_again_after_the_first_deadline(port: int) -> None:
    """The deadline is of a header, not of a connection."""
    with opened(port) as one:
        for _ in range(3):
            one.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            found = b""
            while not found.endswith(b"ok"):
                found += one.recv(4096)
            assert found.startswith(b"HTTP/1.1 200")
            time.sleep(HEADER_S / 2)
