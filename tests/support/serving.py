"""The api on a real socket, in a thread of the test: what a client sees, streams included."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import uvicorn

from medsr.jobs.keys import add_key
from medsr.jobs.store import Store
from medsr.service.api import ApiSettings, create_app, guarded

__all__ = ["Served", "nothing_left", "problem", "served"]


@dataclass
class Served:
    """A running api."""

    url: str
    store: Store
    app: object
    _clients: list[httpx.Client] = field(default_factory=list)

    def key(self, *scopes: str, owner: str | None = None, label: str = "test") -> str:
        """The secret of a new key."""
        return add_key(self.store, label=label, scopes=scopes, owner=owner).secret

    def client(self, *scopes: str, owner: str | None = "ward", label: str = "test") -> httpx.Client:
        """A client with a new key of these scopes; without scopes, one without a key."""
        headers = {"Authorization": f"Bearer {self.key(*scopes, owner=owner, label=label)}"} if scopes else {}
        made = httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False)
        self._clients.append(made)
        return made

    def close(self) -> None:
        """Close every client."""
        for one in self._clients:
            one.close()


@contextmanager
def served(store: Store, settings: ApiSettings | None = None) -> Iterator[Served]:
    """Serve a store on a free port of this machine."""
    chosen = settings or ApiSettings(events_poll_s=0.05, requests_per_s=10_000)
    app = create_app(store, chosen)
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, http=guarded(chosen), ws="none", lifespan="on", log_config=None,
        access_log=False, server_header=False, timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=chosen.max_header_block_bytes,
    )  # fmt: skip
    server = uvicorn.Server(config)
    listener = config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.005)
        made = Served(f"http://127.0.0.1:{listener.getsockname()[1]}", store, app)
        yield made
    finally:
        app.state.desk.closing = True
        made.close()
        server.should_exit = True
        thread.join()
        listener.close()


def problem(answer: httpx.Response, status: int, code: str) -> None:
    """Hold that an answer is the problem of this code, in its one form."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    body = answer.json()
    assert (body["type"], body["status"], body["code"]) == (f"urn:medsr:{code}", status, code)
    assert body["detail"]


def nothing_left(store: Store) -> bool:
    """No part of an upload lies in the store."""
    return not list(store.files.incoming.iterdir())
